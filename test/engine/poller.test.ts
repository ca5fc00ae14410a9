/** When a poller checks its sockets and when it waits for more, observed through its calls to a simulated system. */
import { afterEach, describe, expect, it } from 'vitest';
import { EPOLLIN, EPOLL_EVENT, type Libc } from '../../src/engine/linux/libc.ts';
import { Poller } from '../../src/engine/linux/poller.ts';

const FD = 7;

let poller: Poller | undefined;

afterEach(() => poller?.close());

/**
 * Wakes a poller with one socket. @param ready readiness of the socket at each look; after the last entry it is not
 * ready. @returns the calls, and the number of reads of the socket.
 */
function wake(ready: readonly boolean[], options: { expected: number; pwait2: boolean }) {
  const calls: string[] = [];
  let onReady = (): void => {};
  let looks = 0;
  const answer = (events: Uint8Array): number => {
    if (ready[looks++] !== true) return 0;
    const view = new DataView(events.buffer);
    view.setUint32(EPOLL_EVENT.events, EPOLLIN, true);
    view.setInt32(EPOLL_EVENT.data, FD, true);
    return 1;
  };
  const libc = {
    epoll_create1: () => 3,
    epoll_ctl: () => 0,
    close: () => 0,
    watch: (_: number, callback: () => void) => {
      onReady = callback;
      return { close: () => {}, ref: () => {}, unref: () => {} };
    },
    epoll_wait: (_: number, events: Uint8Array, __: number, timeoutMs: number) => {
      calls.push(`look ${timeoutMs}`);
      return answer(events);
    },
    epoll_pwait2: options.pwait2
      ? (_: number, events: Uint8Array, __: number, timeout: Uint8Array) => {
          const [seconds, nanoseconds] = new BigInt64Array(timeout.buffer);
          calls.push(`stay ${seconds} ${nanoseconds}`);
          return answer(events);
        }
      : undefined,
  } as unknown as Libc;
  poller = new Poller(libc, () => {});
  poller.expected = options.expected;
  let reads = 0;
  poller.add({ fd: FD, onReadable: () => reads++, drainErrors: () => expect.fail() });
  onReady();
  return { calls, reads };
}

/** Wakes the poller of a worker with one socket. @returns what it does in the callback, and after it. */
async function wakeWorker(onReadable: () => void): Promise<{ within: string[]; after: string[] }> {
  const calls: string[] = [];
  let onReady = (): void => {};
  let watched = 0;
  let next = 10;
  let looks = 0;
  const libc = {
    estate: {},
    epoll_create1: () => next++,
    epoll_ctl: (epoll: number, _: number, fd: number, event: Uint8Array) => {
      if (epoll === watched && fd !== FD) calls.push(event[EPOLL_EVENT.events] === 0 ? 'shut' : 'open');
      return 0;
    },
    close: () => 0,
    watch: (fd: number, callback: () => void) => {
      watched = fd;
      onReady = callback;
      return { close: () => {}, ref: () => {}, unref: () => {} };
    },
    epoll_wait: (_: number, events: Uint8Array) => {
      const view = new DataView(events.buffer);
      view.setUint32(EPOLL_EVENT.events, EPOLLIN, true);
      view.setInt32(EPOLL_EVENT.data, FD, true);
      return looks++ === 0 ? 1 : 0;
    },
  } as unknown as Libc;
  poller = new Poller(libc, () => {});
  const read = (): void => {
    calls.push('read');
    onReadable();
  };
  poller.add({ fd: FD, onReadable: read, drainErrors: () => expect.fail() });
  onReady();
  const within = [...calls];
  await new Promise((resolve) => setImmediate(resolve));
  return { within, after: calls };
}

describe('a poller of a worker', () => {
  it('reads outside the callback, which stays silent meanwhile: the thread may run out of memory', async () => {
    expect(await wakeWorker(() => {})).toEqual({ within: [], after: ['shut', 'read', 'open'] });
    poller!.close();
    expect(await wakeWorker(() => poller!.close())).toEqual({ within: [], after: ['shut', 'read'] });
  });

  it('stays silent while a timer of its thread does its work', async () => {
    const { after } = await wakeWorker(() => {});
    poller!.aside(() => after.push('work'));
    expect(after.slice(3)).toEqual(['shut', 'work', 'open']);
  });
});

describe('a poller', () => {
  it('polls until no event is left', () => {
    expect(wake([true, true], { expected: 0, pwait2: true })).toEqual({
      calls: ['look 0', 'look 0', 'look 0'],
      reads: 2,
    });
  });

  it('waits a fifth of a millisecond for more after the first poll, while packets are expected', () => {
    expect(wake([true, true], { expected: 1, pwait2: true })).toEqual({
      calls: ['look 0', 'stay 0 200000', 'stay 0 200000'],
      reads: 2,
    });
    expect(wake([], { expected: 1, pwait2: true })).toEqual({ calls: ['look 0'], reads: 0 });
  });

  it('polls without waiting if the system cannot wait for so short a time', () => {
    expect(wake([true], { expected: 1, pwait2: false })).toEqual({ calls: ['look 0', 'look 0'], reads: 1 });
  });

  it('returns to the event loop after eight polls, whatever arrives', () => {
    const { calls, reads } = wake(
      Array.from({ length: 20 }, () => true),
      { expected: 5, pwait2: true },
    );
    expect([calls.length, reads]).toEqual([8, 8]);
  });
});
