/**
 * Checks that the Linux engine works on this machine: a datagram to itself, through every layout and call that a
 * transfer uses, except segmentation. A wrong offset shows here first.
 */
import { shareBytes } from '../../bytes/shared-bytes.ts';
import type { Link } from '../types.ts';
import { LinuxEngine } from './engine.ts';

const PATIENCE_MS = 1000;
const PAYLOAD = Uint8Array.from({ length: 700 }, (_, index) => (index * 7) & 0xff);

/** @returns a short reason why the engine can't run, or undefined when it works. */
export async function checkLinuxEngine(): Promise<string | undefined> {
  let engine: LinuxEngine;
  try {
    engine = new LinuxEngine({ links: 16 });
  } catch (cause) {
    return firstLine(cause);
  }
  try {
    return await exchange(engine);
  } catch (cause) {
    return firstLine(cause);
  } finally {
    await engine.close();
  }
}

/** Sends a request to a listening port, replies with a block from shared memory, and checks the block's arrival. */
async function exchange(engine: LinuxEngine): Promise<string | undefined> {
  const view = engine.attach(shareBytes(PAYLOAD));
  const silent = { onDatagram: () => {}, onUnreachable: () => {}, onUnreadable: () => {} };
  let answering: Promise<Link> | undefined;
  const listening = await engine.listen({ address: '127.0.0.1', port: 0 }, (_bytes, _length, peer, port) => {
    answering = engine.link({ local: port.local.address, peer, peerPort: 'fixed' }, silent);
    void answering.then((link) => link.data(0x1234, view, 100, 600));
  });
  let cancel = (): void => {};
  const arrived = new Promise<string | undefined>((resolve) => {
    cancel = engine.clock.wake(engine.clock.now() + PATIENCE_MS, () => resolve('a datagram to itself did not arrive'));
    const onDatagram = (bytes: Uint8Array, length: number): void => {
      const payload = bytes.subarray(4, length);
      const right = length === 604 && bytes[1] === 3 && bytes[2] === 0x12 && bytes[3] === 0x34;
      const same = right && payload.every((byte, index) => byte === PAYLOAD[100 + index]);
      resolve(same ? undefined : 'a datagram to itself arrived damaged');
    };
    const client = { ...silent, onDatagram };
    void engine.link({ local: '127.0.0.1', peer: listening.local, peerPort: 'learn' }, client).then(
      (link) => {
        link.control(Uint8Array.of(0, 1, 0, 0), 4);
      },
      (cause: unknown) => resolve(firstLine(cause)),
    );
  });
  try {
    return await arrived;
  } finally {
    cancel();
  }
}

function firstLine(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  return message.split('\n', 1)[0] ?? message;
}
