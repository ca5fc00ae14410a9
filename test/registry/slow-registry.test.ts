/** A registry that keeps a request waiting without ever falling silent is given up, and asked again. */
import { randomBytes } from 'node:crypto';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { sha256 } from '../../src/boot-set/store/manifest.ts';
import { pull } from '../../src/registry/pull.ts';
import { parseReference } from '../../src/registry/reference.ts';
import { contentOf, newStore } from '../boot-set/fixture.ts';
import { FakeRegistry, type Misbehave } from './fixture.ts';

const LINUX = randomBytes(70_000);

/** Lets the timers of this process pass a time, once what is under way has been sent. */
function pass(ms: number, then = (): void => {}): void {
  setImmediate(() =>
    setImmediate(() => {
      vi.advanceTimersByTime(ms);
      then();
    }),
  );
}

describe('a registry that is slow on purpose', () => {
  it.each<[string, Misbehave]>([
    [
      'with interim answers instead of one',
      (_, response) => {
        const again = (left: number): void => {
          response.writeProcessing();
          pass(20_000, () => left > 0 && again(left - 1));
        };
        again(3);
        return true;
      },
    ],
    [
      'with the head of an answer that never ends',
      (_, response) => {
        response.socket!.write('HTTP/1.1 200 OK\r\nx-a: b\r\n');
        pass(61_000);
        return true;
      },
    ],
    [
      'with redirects whose bodies hold all connections',
      ({ url = '', headers }, response) => {
        const hop = Number(/hop=([0-9])/.exec(url)?.[1] ?? 0);
        if (hop === 4) return Boolean(response.end(LINUX));
        const location = `http://${headers.host}${url.split('?')[0]}?hop=${hop + 1}`;
        response.writeHead(307, { location, 'content-length': 1000 }).write('x');
        if (hop === 3) pass(6000);
        return true;
      },
    ],
  ])('%s', { timeout: 20_000 }, async (_, misbehave) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const fake = await FakeRegistry.start();
    fake.addSet({ linux: LINUX }, 'stable');
    let turns = 0;
    fake.misbehave = (request, response, turn) => {
      const isLinux = request.url!.includes(sha256(LINUX));
      return isLinux && (turns++ === 0 || request.url!.includes('hop')) ? misbehave(request, response, turn) : false;
    };
    const store = await newStore();
    const reference = parseReference(`oci+http://${fake.host}/boot/install:stable`);
    await pull(store, { reference, channel: 'install', standing: 'current' });
    expect(contentOf(store, 'install-1', 'linux').equals(LINUX)).toBe(true);
  });
});
