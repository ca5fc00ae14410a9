/** A config that changes while nodes boot: the built server, reloaded over HTTP, by signal and by changed files. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ExampleServer } from '../examples/fixture.ts';
import { CAMPAIGN } from '../support/content.ts';
import { folder, type LogLine } from '../support/reveille.ts';
import { storm } from '../cli/storm-fixture.ts';

const TOKEN = '0123456789abcdef';
const MAC = '52-54-00-00-00-01';

/** A config of three files, each of which contains its version. */
class Versioned {
  readonly folder = folder();
  readonly config = join(this.folder, 'reveille.yaml');

  /** @param broken the mistake in the config, if any. */
  write(version: number, broken?: 'yaml' | 'key' | 'template' | 'inventory' | 'liquid'): void {
    // The file contains a token, so nobody else may read it.
    const write = (name: string, text: string): void => writeFileSync(join(this.folder, name), text, { mode: 0o600 });
    write(`t-${version}.liquid`, broken === 'liquid' ? '{% if %}' : `template ${version}, {{ vars.text }}\n`);
    write(
      `nodes-${version}.yaml`,
      broken === 'inventory'
        ? 'nodes: [{mac: 1}]\n'
        : `groups:\n  - {name: all, select: {name: "*"}, vars: {text: "inventory ${version}"}}\n` +
            `nodes:\n${Array.from({ length: 64 }, (_, n) => `  - {name: n-${n}, mac: "52:54:00:00:00:${n.toString(16).padStart(2, '0')}"}\n`).join('')}`,
    );
    const text = [
      `apiToken: ${TOKEN}`,
      `inventory: nodes-${version}.yaml`,
      ...(broken === 'key' ? ['inventori: x'] : []),
      'renderThreads: 1',
      'routes:',
      `  - {match: "version", rewrite: "node/${MAC}"}`,
      `  - match: "node/{mac}"`,
      `    template: ${broken === 'template' ? 'none' : `t-${version}`}.liquid`,
      ...(broken === 'yaml' ? ['  - [', ''] : ['']),
    ].join('\n');
    // The rename keeps the server from seeing half a file; writing in place would be the editor's fault.
    write('new.yaml', text);
    renameSync(join(this.folder, 'new.yaml'), this.config);
  }
}

async function reload(server: ExampleServer): Promise<[status: number, body: Record<string, unknown>]> {
  const answer = await fetch(`${server.admin}/api/v1/reload`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  return [answer.status, (await answer.json()) as Record<string, unknown>];
}

async function metric(server: ExampleServer, name: string): Promise<number> {
  const text = await (await fetch(`${server.admin}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.split(' ')[1]);
}

const BROKEN = ['yaml', 'key', 'template', 'inventory', 'liquid'] as const;
/** At least 15, so that each kind of mistake occurs. */
const REWRITES = CAMPAIGN ? 100 : 15;
/** Requests during each reload, one after the other; more cost much processor time and meet the same configs. */
const ASKED_MOST = CAMPAIGN ? 1000 : 10;
const BROKEN_ONES = Math.floor((REWRITES + 1) / 3);

describe('a reload', () => {
  it(`loses no request and serves no half config, ${REWRITES} times during a storm, every third time broken`, async () => {
    const files = new Versioned();
    files.write(1);
    const server = await ExampleServer.start(files.config);
    const good = new Set([1]);
    const wrong: string[] = [];
    const seen = new Set<number>();
    let asked = 0;
    const askAgain = async (isOver: () => boolean): Promise<void> => {
      for (let time = 0; time < ASKED_MOST && !isOver(); time++) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other, each with some version of the config.
        const text = await server.ask(`node/${MAC}`);
        const [, template, inventory] = /^template (\d+), inventory (\d+)\n$/.exec(text) ?? [];
        asked++;
        seen.add(Number(template));
        if (template !== inventory || !good.has(Number(template))) wrong.push(text);
      }
    };
    const plan = join(files.folder, 'plan.yaml');
    writeFileSync(plan, 'name: p\nprofile: pxelinux\nstages:\n  - {name: config, file: "node/{mac}", repeat: 20}\n');
    const stormed = storm(server.port, [
      '--plan',
      plan,
      '--nodes',
      '50',
      '--arrival',
      `ramp:${Math.ceil(REWRITES / 12)}s`,
      '--slo',
      'failed=0,violations=0',
    ]);
    const failures: string[] = [];
    for (let version = 2; version <= REWRITES + 1; version++) {
      const broken = version % 3 === 0 ? BROKEN[(version / 3) % BROKEN.length] : undefined;
      if (broken === undefined) good.add(version);
      files.write(version, broken);
      let isOver = false;
      const reloading = reload(server).finally(() => {
        isOver = true;
      });
      // oxlint-disable-next-line no-await-in-loop -- one config after the other.
      const [[status, { error }]] = await Promise.all([reloading, askAgain(() => isOver)]);
      if ((status === 200) !== (broken === undefined))
        failures.push(`${version} ${broken}: ${status} ${String(error)}`);
      if (broken !== undefined && !/^\S+\.(?:yaml|liquid)|route/.test(String(error)))
        failures.push(`${broken}: ${String(error)}`);
    }
    const { code, report } = await stormed;
    expect(failures).toEqual([]);
    expect(wrong).toEqual([]);
    expect({ code, failed: report.failed, failures: report.failures }).toEqual({ code: 0, failed: 0, failures: [] });
    expect(asked).toBeGreaterThan(REWRITES);
    expect(seen.size).toBeGreaterThan(REWRITES / 3);
    expect(await server.ask('version')).toBe(`template ${REWRITES + 1}, inventory ${REWRITES + 1}\n`);
    expect(await metric(server, 'reveille_reloads_total{result="failed"}')).toBeGreaterThanOrEqual(BROKEN_ONES);
    expect(await metric(server, 'reveille_reloads_total{result="ok"}')).toBeGreaterThanOrEqual(REWRITES - BROKEN_ONES);
    const lines = await server.stop();
    const told = lines.filter(({ msg }) => msg.startsWith('reload failed'));
    expect(told.length).toBeGreaterThanOrEqual(BROKEN_ONES);
    expect(told.every(({ level, error }) => level === 'error' && typeof error === 'string')).toBe(true);
    // No request was left unanswered and no render failed. Each client judges how its transfer ended, as above.
    expect(lines.filter(({ msg, level }) => level === 'warn' && msg !== 'transfer')).toEqual([]);
  }, 300_000);

  it('follows a changed file, and SIGHUP', async () => {
    const files = new Versioned();
    files.write(1);
    const server = await ExampleServer.start(files.config);
    expect(await server.ask('version')).toBe('template 1, inventory 1\n');
    // Only a template changes.
    writeFileSync(join(files.folder, 't-1.liquid'), 'template changed, {{ vars.text }}\n');
    await server.saying(/"msg":"reloaded"/);
    expect(await server.ask('version')).toBe('template changed, inventory 1\n');
    // A broken config and then a good one; each must cause a reload.
    files.write(2, 'key');
    const [line] = await server.saying(/^.*"msg":"reload failed, the previous config remains in use".*$/m);
    expect((JSON.parse(line) as LogLine)['error']).toMatch(
      /reveille\.yaml:3: inventori: expected a known key \(did you mean inventory\?\), got an unknown key$/,
    );
    expect(await server.ask('version')).toBe('template changed, inventory 1\n');
    files.write(3);
    await server.saying(/"routes":2,"nodes":64,"msg":"reloaded"(?:.|\n)*"routes":2,"nodes":64,"msg":"reloaded"/);
    expect(await server.ask('version')).toBe('template 3, inventory 3\n');
    server.signal('SIGHUP');
    await server.saying(/"reason":"SIGHUP","routes":2,"nodes":64,"msg":"reloaded"/);
  });

  it('names the settings that need a restart, and takes over the others', async () => {
    const files = new Versioned();
    files.write(1);
    const server = await ExampleServer.start(files.config);
    const text = readFileSync(files.config, 'utf8');
    writeFileSync(files.config, `${text}sessions: 77\ncacheBytes: 1MiB\nlogLevel: debug\n`);
    expect(await reload(server)).toEqual([200, { result: 'ok', restart: ['cacheBytes', 'sessions'] }]);
    expect(await server.ask('none')).toBe('error 1');
    const lines = await server.stop();
    expect(lines.find(({ msg }) => msg === 'changed settings that need a restart')).toMatchObject({
      settings: ['cacheBytes', 'sessions'],
    });
    expect(lines.map(({ msg }) => msg)).toContain('refused');
  });
});
