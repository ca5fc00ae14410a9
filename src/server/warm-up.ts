/**
 * A storm against ourselves before anybody is served, so that the first real one meets compiled code: after a power cut
 * everything is cold, and code that is compiled while nodes wait answers half as many of them. It goes through the modules
 * that will serve, over the loopback device; where that is not to be had, there is none. Knows no sources and no observers.
 */
import { shareBytes } from '../bytes/shared-bytes.ts';
import type { Source } from '../content/types.ts';
import type { Address, Engine, Link } from '../engine/types.ts';
import type { Pool } from '../pool/pool.ts';
import { encodeAck } from '../protocol/encode.ts';
import { OPCODE } from '../protocol/opcode.ts';
import { decodeRequest } from '../protocol/request.ts';
import { Admission } from './admission.ts';
import { Resolver } from './resolver.ts';
import type { ServerLimits } from './types.ts';

const NODES = 64;
/** Some blocks for each first reply: both make a boot. */
const BLOCKS = 12;
const BLKSIZE = 1408;
/** It ends then, however far it has come: a server should listen soon. */
const MAX_MS = 350;
/** Without an answer for so long it is given up. */
const SILENCE_MS = 100;

const REQUESTS = [
  ['octet', 'tsize', '0', 'blksize', String(BLKSIZE)],
  ['octet', 'blksize', String(BLKSIZE), 'tsize', '0', 'windowsize', '4'],
].map((parts) => Buffer.from(`\0\x01boot/warm-up\0${parts.map((part) => `${part}\0`).join('')}`, 'latin1'));

export interface WarmUpOptions {
  readonly engine: Engine;
  readonly pool: Pool;
  readonly limits: ServerLimits;
  readonly seed: number;
}

/** Leaves nothing behind but compiled code, and counts. Never rejects: a server without it is only slower at first. */
export async function warmUp(options: WarmUpOptions): Promise<void> {
  try {
    await storm(options);
  } catch {
    // No loopback device, or none that may be used.
  }
}

async function storm({ engine, pool, limits, seed }: WarmUpOptions): Promise<void> {
  const handle = shareBytes(new Uint8Array((BLOCKS - 1) * BLKSIZE + 100));
  const source: Source = {
    open: () => Promise.resolve({ kind: 'content', handle, label: 'warm-up', release: () => {} }),
  };
  const admission = new Admission({
    clock: engine.clock,
    pool,
    ports: engine.transferPorts,
    attach: (content) => engine.attach(content),
    resolver: new Resolver([source]),
    limits,
    observer: { onTransfer: () => {}, onRefusal: () => {}, onWarning: () => {} },
    maxBlksize: () => BLKSIZE,
    seed,
  });
  const listening = await engine.listen({ address: '127.0.0.1', port: 0 }, (bytes, length, peer, port) => {
    const request = decodeRequest(bytes, length);
    if (typeof request !== 'string') admission.admit({ request, peer, port });
  });
  const endsAt = engine.clock.now() + MAX_MS;
  try {
    const nodes = Array.from({ length: NODES }, async (_, node) => {
      for (let turn = node; engine.clock.now() < endsAt; turn++) {
        if (!(await fetchOnce(engine, listening.local, REQUESTS[turn % REQUESTS.length]!))) return;
      }
    });
    await Promise.all(nodes);
  } finally {
    admission.drain();
    admission.cancelAll();
    await admission.idle();
    await listening.close();
  }
}

/** One download, block by block. @returns whether the file came to its end. */
function fetchOnce(engine: Engine, server: Address, request: Uint8Array): Promise<boolean> {
  const ack = new Uint8Array(4);
  return new Promise((resolve) => {
    let link: Link | undefined;
    let cancel = (): void => {};
    const end = (isWhole: boolean): void => {
      cancel();
      link?.close();
      resolve(isWhole);
    };
    const onDatagram = (bytes: Uint8Array, length: number): void => {
      const block = bytes[1] === OPCODE.DATA ? (bytes[2]! << 8) | bytes[3]! : 0;
      link?.control(ack, encodeAck(ack, block));
      if (block > 0 && length < BLKSIZE + 4) end(true);
    };
    const receiver = { onDatagram, onUnreachable: () => end(false), onUnreadable: () => {} };
    engine.link({ local: '127.0.0.1', peer: server, peerPort: 'learn' }, receiver).then(
      (opened) => {
        link = opened;
        cancel = engine.clock.wake(engine.clock.now() + SILENCE_MS, () => end(false));
        opened.control(request, request.length);
      },
      () => end(false),
    );
  });
}
