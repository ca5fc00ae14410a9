/** Downloads by curl over HTTP while the server below the keeper dies, or is replaced. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';
import { provideClients } from '../support/clients.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { listening, serverOf } from '../support/keeper.ts';
import { folder, Reveille } from '../support/reveille.ts';

await provideClients();
const unavailable = await checkLinuxEngine();
/** More than the buffers of both ends, which curl gets although the server is dead. */
const CONTENT = seededBytes(SEED, 48_000_000);
/** Leaves time to stop it in the middle. */
const SLOWLY = ['--limit-rate', '24M'];
/** Exit codes of curl for a connection that ends too soon. */
const CUT = [18, 56];

interface World {
  readonly keeper: Reveille;
  readonly url: string;
  readonly out: string;
}

async function world(): Promise<World> {
  const root = folder();
  writeFileSync(join(root, 'initrd'), CONTENT);
  const args = ['serve', root, '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0', '--no-admin', '--workers', '1'];
  const keeper = new Reveille(['keeper', '--', ...args]);
  const { http } = await listening(keeper, 1);
  return { keeper, url: `${http[0]}/initrd`, out: join(folder(), 'initrd') };
}

function curl({ url, out }: World, ...more: string[]): ChildProcess {
  const child = spawn('curl', ['--silent', '--output', out, '--write-out', '%{http_code}', ...more, url]);
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** Stops curl as soon as the file has begun to arrive; go on with SIGCONT. */
async function stopEarly({ out }: World, client: ChildProcess): Promise<void> {
  while ((statSync(out, { throwIfNoEntry: false })?.size ?? 0) === 0) {
    // oxlint-disable-next-line no-await-in-loop -- the file grows meanwhile.
    await new Promise((resolve) => setImmediate(resolve));
  }
  client.kill('SIGSTOP');
}

/** @returns the exit code, and the status of the answer. */
async function ended(child: ChildProcess): Promise<{ code: number; status: string }> {
  let status = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    status += text;
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, status };
}

describe.skipIf(unavailable !== undefined)('a download over HTTP', () => {
  it('of a server that is killed resumes with the next one', async () => {
    const here = await world();
    const first = curl(here, ...SLOWLY);
    const cut = ended(first);
    await stopEarly(here, first);
    process.kill(serverOf(here.keeper)!, 'SIGKILL');
    first.kill('SIGCONT');
    expect(CUT).toContain((await cut).code);
    expect(statSync(here.out).size).toBeLessThan(CONTENT.length);
    // The connection waits in the queue of the socket until the next server accepts it.
    expect(await ended(curl(here, '--continue-at', '-'))).toEqual({ code: 0, status: '206' });
    expect(readFileSync(here.out).equals(CONTENT)).toBe(true);
  });

  it('of a server that is replaced goes on', async () => {
    const here = await world();
    const client = curl(here, ...SLOWLY);
    const whole = ended(client);
    await stopEarly(here, client);
    here.keeper.process.kill('SIGUSR2');
    await listening(here.keeper, 2);
    expect(statSync(here.out).size).toBeLessThan(CONTENT.length);
    client.kill('SIGCONT');
    expect(await whole).toEqual({ code: 0, status: '200' });
    expect(readFileSync(here.out).equals(CONTENT)).toBe(true);
  });
});
