/** The figures of a server that answers HTTP: bytes of whole, partial and aborted answers. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../content/fixture.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { RawHttp, rawGet } from '../support/raw-http.ts';
import { serveFolder } from '../support/server.ts';

/** More than the kernel and both ends keep for a client that does not read. */
const LARGE = seededBytes(SEED, 24 * 1024 * 1024);

it('counts the bytes of bodies once, while they are sent and when they break off', async () => {
  const root = temporaryFolder();
  writeFileSync(join(root, 'large'), LARGE);
  const live = await serveFolder(root, { http: { listen: [{ address: '127.0.0.1', port: 0 }] } });
  onTestFinished(async () => void (await live.server.stop(0)));
  const at = live.server.httpAddresses[0]!;
  const sent = (): number => live.server.stats().http!.sentBytesTotal;
  await rawGet(at, '/large');
  await live.transfer(({ outcome }) => outcome === 'complete');
  expect(sent()).toBe(LARGE.length);
  await rawGet(at, '/large', ['Range: bytes=0-999']);
  await live.transfer(({ bytes }) => bytes === 1000);
  expect(sent()).toBe(LARGE.length + 1000);
  await rawGet(at, '/missing');
  const slow = new RawHttp(at).send('GET /large HTTP/1.1\r\n\r\n');
  await slow.until((bytes) => bytes.length > 4 * 1024 * 1024);
  slow.socket.pause();
  // Counted before it ends.
  await expect.poll(() => sent() > LARGE.length + 1000, { timeout: 5000 }).toBe(true);
  slow.close();
  const { bytes } = await live.transfer(({ outcome }) => outcome === 'clientError');
  expect(bytes).toBeLessThan(LARGE.length);
  expect(sent()).toBe(LARGE.length + 1000 + bytes);
});
