/** Notifications to systemd from a server that it has started (Type=notify), over a real socket. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { serviceManagerOf } from '../../src/daemon/service-manager.ts';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';
import { folder, Reveille } from '../support/reveille.ts';
import { UnixDatagrams } from '../support/unix-datagrams.ts';

const unavailable = await checkLinuxEngine();

function args(): string[] {
  const root = folder();
  writeFileSync(join(root, 'linux'), 'kernel');
  return ['serve', root, '--listen', '127.0.0.1:0', '--no-admin', '--workers', '1'];
}

describe.skipIf(unavailable !== undefined)('a service manager', () => {
  it.each([
    ['a path', () => join(folder(), 'notify')],
    ['an abstract name', () => `@reveille-test-${process.pid}-${performance.now()}`],
  ])('at %s is told when requests are answered, that the main loop goes round, and of the end', async (_, place) => {
    const path = place();
    const manager = new UnixDatagrams(path);
    const server = new Reveille(args(), { env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: '200000' } });
    expect(await manager.next()).toMatch(/^READY=1\nSTATUS=Listening on 127\.0\.0\.1:[0-9]+$/);
    await server.saying(/"msg":"listening"/);
    expect([await manager.next(), await manager.next(), await manager.next()]).toEqual(
      Array.from({ length: 3 }, () => 'WATCHDOG=1'),
    );
    server.process.kill('SIGTERM');
    await manager.until('STOPPING=1');
    expect((await server.ended).code).toBe(0);
  });

  it('is told of the addresses of HTTP', async () => {
    const path = join(folder(), 'notify');
    const manager = new UnixDatagrams(path);
    const server = new Reveille([...args(), '--http', '127.0.0.1:0'], { env: { NOTIFY_SOCKET: path } });
    expect(await manager.next()).toMatch(/STATUS=Listening on 127\.0\.0\.1:[0-9]+, http:\/\/127\.0\.0\.1:[0-9]+$/);
    server.process.kill('SIGTERM');
    expect((await server.ended).code).toBe(0);
  });

  it('gets no message from a server that fails to start', async () => {
    const path = join(folder(), 'notify');
    const manager = new UnixDatagrams(path);
    const wrong = new Reveille([...args(), '--store', '/dev/null'], { env: { NOTIFY_SOCKET: path } });
    expect((await wrong.ended).code).toBe(2);
    const right = new Reveille(args(), { env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: '200000' } });
    // The first notification is from the second server.
    const ready = await manager.next();
    const [line] = await right.saying(/^.*"msg":"listening".*$/m);
    expect(ready).toContain((JSON.parse(line) as { addresses: string[] }).addresses[0]);
  });

  it('that is missing does not stop the server, and the log says what follows', async () => {
    const server = new Reveille(args(), { env: { NOTIFY_SOCKET: '/nowhere/notify', WATCHDOG_USEC: '200000' } });
    await server.saying(/"msg":"listening"/);
    server.process.kill('SIGTERM');
    expect((await server.ended).code).toBe(0);
    const wrong = new Reveille(args(), { env: { NOTIFY_SOCKET: 'vsock:2:1234' } });
    await wrong.saying(/"level":"warn".*cannot notify the service manager/);
  });
});

describe('the environment', () => {
  const said: string[] = [];
  const open = () => ({ send: (text: string) => said.push(text) > 0, close: () => {} });

  it.each<[string, Record<string, string>, number]>([
    ['a watchdog', { WATCHDOG_USEC: '10000000', WATCHDOG_PID: String(process.pid) }, 2],
    ['a watchdog for whom it may concern', { WATCHDOG_USEC: '10000000' }, 2],
    ['a watchdog for another process', { WATCHDOG_USEC: '10000000', WATCHDOG_PID: '1' }, 0],
    ['no watchdog', {}, 0],
    ['nonsense', { WATCHDOG_USEC: '-1' }, 0],
  ])('with %s', (_, environment, beats) => {
    vi.useFakeTimers();
    try {
      said.length = 0;
      const given: Record<string, string> = { ...environment, NOTIFY_SOCKET: '/run/notify', PATH: '/bin' };
      const manager = serviceManagerOf(given, open)!;
      // The variables are removed, so that child processes do not act as the service.
      expect(given).toEqual({ PATH: '/bin' });
      vi.advanceTimersByTime(60_000);
      expect(said).toEqual([]);
      manager.ready('at a\nand b');
      vi.advanceTimersByTime(10_000);
      manager.stopping();
      manager.close();
      vi.advanceTimersByTime(60_000);
      expect(said).toEqual([
        'READY=1\nSTATUS=at a and b',
        ...Array.from({ length: beats }, () => 'WATCHDOG=1'),
        'STOPPING=1',
      ]);
    } finally {
      vi.useRealTimers();
    }
  });

  it('without a socket has no manager', () => {
    expect(serviceManagerOf({ WATCHDOG_USEC: '10000000' }, open)).toBeUndefined();
  });
});
