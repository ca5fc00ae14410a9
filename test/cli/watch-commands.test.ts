/** `reveille top` and `reveille node`, against the built server and on output that is not a terminal. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Command } from 'commander';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { formatAddress } from '../../src/text/address-text.ts';
import { type Admin, startAdmin } from '../../src/admin/admin-server.ts';
import { Interrupts } from '../../src/daemon/interrupts.ts';
import { parseNode } from '../../src/config/node-argument.ts';
import { safeText } from '../../src/text/escape.ts';
import { addWatchCommands, type Keys, type Screen } from '../../src/cli/watch-commands.ts';
import type { LiveSnapshot, NodeReport } from '../../src/live/wire.ts';
import { ExampleServer } from '../examples/fixture.ts';
import { ObservedWorld } from '../observe/world.ts';
import { runCommand, type Said } from '../support/command.ts';
import { afterThem, folder, type OnTestFinished, Reveille } from '../support/reveille.ts';

const TOKEN = '0123456789abcdef';

function reveille(...args: string[]): Promise<Said> {
  return runCommand(args);
}

interface Visited {
  readonly admin: string;
  readonly config: string;
  readonly server: ExampleServer;
}

/**
 * A server with a config file, and one node that has read that file and requested a missing name.
 *
 * @param onFinished hook that ends it.
 */
async function visited(flags: readonly string[] = [], onFinished: OnTestFinished = onTestFinished): Promise<Visited> {
  const root = folder(onFinished);
  mkdirSync(join(root, 'files'));
  writeFileSync(join(root, 'files/grub.cfg'), 'linux boot/linux\n');
  writeFileSync(join(root, 'token'), `${TOKEN}\n`);
  writeFileSync(
    join(root, 'nodes.yaml'),
    'nodes:\n  - {name: front, address: 127.0.0.1, mac: "52:54:00:00:00:01", labels: {rack: "7"}}\n',
  );
  const config = join(root, 'reveille.yaml');
  writeFileSync(config, 'root: files\ninventory: nodes.yaml\napiTokenFile: token\n');
  const server = await ExampleServer.startFor(onFinished, config, ...flags);
  expect(await server.ask('grub.cfg')).toContain('linux');
  expect(await server.ask('boot/linux')).toBe('error 1');
  const admin = server.admin.replace('http://', '').replace('0.0.0.0', '127.0.0.1');
  // The client has the last block before its ACK has reached the server.
  await vi.waitFor(
    async () =>
      expect(
        (await reveille('node', '127.0.0.1', '--admin', admin, '--api-token-file', join(root, 'token'))).stdout,
      ).toContain('✓ grub.cfg'),
    { timeout: 10_000 },
  );
  return { admin, config, server };
}

/** A server that all tests may ask which change nothing. */
let shared: Visited;
const onFinished = afterThem();
beforeAll(async () => {
  shared = await visited([], onFinished);
});

describe('reveille node', () => {
  it('shows what a node asked for, what it got, and where it stopped; by address, MAC and name', async () => {
    const { admin } = shared;
    const found = await Promise.all(
      ['127.0.0.1', '52-54-00-00-00-01', 'front'].map((node) => reveille('node', node, '--admin', admin)),
    );
    for (const { code, stdout, stderr } of found) {
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).toMatch(
        /^front {2}127\.0\.0\.1 {2}mac:52:54:00:00:00:01 {2}rack=7\n\nboot\/linux does not exist here/,
      );
      expect(stdout).toMatch(
        /^ +\+\d\.\d s ✓ grub\.cfg: 17 B in \d+ ms(?: \(\S+ B\/s\))?,(?: first reply after \d+ ms,)? tsize=0 blksize=1408$/m,
      );
      expect(stdout).toMatch(/^ +\+\d\.\d s ✕ boot\/linux: no such file, /m);
    }
    const { stdout } = await reveille('node', 'front', '--admin', admin, '--json');
    const report = JSON.parse(stdout) as NodeReport;
    expect(report.boots[0]!.steps.map((step) => (step.step === 'ask' ? [step.file, step.answer] : 'gap'))).toEqual([
      ['grub.cfg', 'sent'],
      ['boot/linux', 'refused'],
    ]);
  });

  it('finds a node by its name if a flag gives the inventory, without a config file', async () => {
    const root = folder();
    writeFileSync(join(root, 'grub.cfg'), '');
    writeFileSync(join(root, 'nodes.yaml'), 'nodes:\n  - {name: front, address: 127.0.0.1, labels: {rack: "7"}}\n');
    const flags = ['--inventory', join(root, 'nodes.yaml'), '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    const server = new Reveille(['serve', root, ...flags]);
    onTestFinished(() => void server.process.kill());
    const [line] = await server.saying(/^\{.*"msg":"listening"\}$/m);
    const { addresses, admin } = JSON.parse(line) as { addresses: string[]; admin: string };
    await reveille('get', `tftp://${addresses[0]}/grub.cfg`, '--output', join(root, 'got'));
    expect(await reveille('node', 'front', '--admin', admin)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^front {2}127\.0\.0\.1 {2}(?:.* )?rack=7\n/) as string,
    });
  });

  it('says where to look when nothing is known of a node, with exit code 1', async () => {
    const { admin } = shared;
    const { code, stdout } = await reveille('node', '52:54:00:00:00:99', '--admin', admin);
    expect(code).toBe(1);
    expect(stdout).toContain('No request from 52:54:00:00:00:99 is remembered.');
    expect(await reveille('node', 'zz:zz', '--admin', admin)).toMatchObject({ code: 2, stdout: '' });
  });
});

describe('reveille top', () => {
  it('prints once if stdout is not a terminal', async () => {
    const { admin } = shared;
    const { code, stdout, stderr } = await reveille('top', '--admin', admin);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^Reveille \S+ at 127\.0\.0\.1:\d+, up \d/);
    expect(stdout).toMatch(/✓ DHCP and the path here +\d/);
    expect(stdout).not.toContain('\x1b');
    const json = await reveille('top', '--admin', admin, '--json');
    const snapshot = JSON.parse(json.stdout) as LiveSnapshot;
    expect(snapshot.nodes.map(({ id, name, mac }) => [id, name, mac])).toEqual([
      ['127.0.0.1', 'front', '52:54:00:00:00:01'],
    ]);
  });

  it('takes the token from a file or from the config, and is refused without one', async () => {
    const { admin, config, server } = await visited(['--admin', '0.0.0.0:0']);
    const refused = await reveille('top', '--admin', admin);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      /^reveille: 127\.0\.0\.1:\d+: expected a bearer token \(use --api-token-file or --config\)\n$/,
    );
    const file = config.replace('reveille.yaml', 'token');
    expect(await reveille('top', '--admin', admin, '--api-token-file', file)).toMatchObject({ code: 0 });
    expect(await reveille('node', 'front', '--admin', admin, '--config', config)).toMatchObject({ code: 0 });
    await server.stop();
    const gone = await reveille('top', '--admin', admin, '--config', config);
    expect(gone).toMatchObject({ code: 1, stdout: '' });
    expect(gone.stderr).toMatch(/ECONNREFUSED \(is the server running, and is this its admin address\?\)\n$/);
  });

  it('rejects an invalid address in one line', async () => {
    for (const args of [
      ['--admin', 'a b'],
      ['--api-token-file', '/nowhere'],
      ['--width', '3'],
    ]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other.
      const { code, stdout, stderr } = await reveille('top', ...args);
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(/^reveille: [^\n]*expected [^\n]*\n$/);
    }
  });
});

/** A terminal of 90 columns and 40 rows. */
class FakeTerminal implements Screen, Keys {
  readonly isTTY = true;
  readonly columns = 90;
  readonly rows = 40;
  written = '';
  isRaw = false;
  #press: (bytes: Buffer) => void = () => {};

  write(text: string): void {
    this.written += text;
  }

  setRawMode(on: boolean): void {
    this.isRaw = on;
  }

  on(event: string, listen: (bytes: Buffer) => void): void {
    if (event === 'data') this.#press = listen;
  }

  off(): void {}

  pause(): void {}

  press(key: string): void {
    this.#press(Buffer.from(key));
  }

  /** Lines of the last screen, without colors. */
  get lines(): string[] {
    const [first, ...others] = this.written.slice(this.written.lastIndexOf('\x1b[H') + 3).split('\x1b[');
    return [first, ...others.map((part) => part.replace(/^[0-9;?]*[A-Za-z]/, ''))].join('').split('\n');
  }
}

async function watch(
  world: ObservedWorld,
): Promise<{ terminal: FakeTerminal; admin: Admin; ended: Promise<unknown>; code: () => number | undefined }> {
  const admin = await startAdmin({
    listen: { address: '127.0.0.1', port: 0 },
    notReady: () => undefined,
    metrics: () => Promise.resolve(''),
    metricsType: 'text/plain',
    live: { state: world.state, idsOf: (text) => [parseNode(text)] },
  });
  onTestFinished(() => admin.close());
  const terminal = new FakeTerminal();
  let code: number | undefined;
  const program = new Command().exitOverride();
  addWatchCommands(
    program,
    { interrupts: new Interrupts(), stderr: { write: () => {} }, version: '1.2.3', stdout: terminal, stdin: terminal },
    (result) => {
      code = result;
    },
  );
  const ended = program.parseAsync(['top', '--admin', formatAddress(admin.address)], { from: 'user' });
  return { terminal, admin, ended, code: () => code };
}

describe('the screen of reveille top', () => {
  it('follows changes, and restores the terminal', async () => {
    const world = new ObservedWorld();
    for (let node = 1; node <= 5; node++) world.fetch(`10.0.0.${node}`, 'initrd.img');
    const { terminal, ended, code } = await watch(world);
    await vi.waitFor(() => expect(terminal.lines[0]).toMatch(/^Reveille 1\.2\.3 at 127\.0\.0\.1/));
    expect(terminal.isRaw).toBe(true);
    const sending = world.send('10.0.7.7', 'boot/linux');
    world.progress(sending, 250_000);
    await vi.waitFor(() => {
      world.pass(1000);
      world.progress(sending, 250_000);
      expect(terminal.lines.join('\n')).toMatch(/^ 10\.0\.7\.7 \[==--------\] {2}25 % \S+ .*linux$/m);
    });
    for (let second = 0; second < 8; second++) world.pass(1000);
    await vi.waitFor(() => expect(terminal.lines.join('\n')).toContain(' ! stuck'));
    for (const line of terminal.lines) expect(line.length).toBeLessThan(90);
    expect(terminal.lines.length).toBeLessThanOrEqual(40);
    terminal.press('q');
    await ended;
    expect(code()).toBe(0);
    expect(terminal.isRaw).toBe(false);
    expect(terminal.written.endsWith('\x1b[?25h\x1b[?1049l')).toBe(true);
  });

  it('ends on request, even after a garbage collection', async () => {
    setFlagsFromString('--expose_gc');
    const collect = runInNewContext('gc') as () => void;
    const { terminal, ended } = await watch(new ObservedWorld());
    await vi.waitFor(() => expect(terminal.lines[0]).toMatch(/^Reveille/));
    for (let turn = 0; turn < 5; turn++) {
      collect();
      // oxlint-disable-next-line no-await-in-loop -- finalizers run in a later turn of the event loop.
      await setImmediate();
    }
    terminal.press('q');
    await ended;
  });

  it('reports that the server has gone', async () => {
    const { terminal, admin, ended } = await watch(new ObservedWorld());
    await vi.waitFor(() => expect(terminal.lines[0]).toMatch(/^Reveille/));
    await admin.close();
    await vi.waitFor(() => expect(terminal.lines[0]).toMatch(/Trying again … Press q to quit\.$/));
    terminal.press('\x03');
    await ended;
  });

  it('lets no name move the cursor or reverse text', () => {
    expect(safeText('a\x1b[2Jb\u202ec\nd\u0085e “ä”')).toBe('a?[2Jb?c?d?e “ä”');
  });
});
