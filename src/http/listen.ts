/**
 * Makes a server of Node.js listen: on a descriptor that listens already, or on an address, for which it waits if the
 * machine does not have it yet. Knows no connections.
 */
import type { Server } from 'node:net';
import { BACKLOG } from '../engine/stream-system.ts';
import type { Address } from '../engine/types.ts';
import type { Listening } from './messages.ts';

/** Pause before an address that the machine does not have yet is tried again, ms. */
const AGAIN_MS = 1000;

export interface Waiting {
  /** Called for an address that the machine does not have yet. */
  readonly onAhead: (local: Address) => void;
  /** Returns true when it is not to be waited for any more. */
  readonly isOver: () => boolean;
}

/**
 * Listens, or begins to wait for the address.
 *
 * @returns the address, with its port. Rejects with the system's error.
 */
export async function listen(server: Server, listening: Listening, waiting: Waiting): Promise<Address> {
  try {
    return await listenNow(server, listening);
  } catch (error) {
    // With a descriptor, the main thread waits for the address (IP_FREEBIND).
    if (listening.fd !== undefined || (error as NodeJS.ErrnoException).code !== 'EADDRNOTAVAIL') throw error;
    waiting.onAhead(listening.local);
    listenLater(server, listening, waiting);
    return listening.local;
  }
}

function listenLater(server: Server, listening: Listening, waiting: Waiting): void {
  setTimeout(() => {
    if (waiting.isOver()) return;
    listenNow(server, listening).catch(() => listenLater(server, listening, waiting));
  }, AGAIN_MS).unref();
}

function listenNow(server: Server, { fd, local }: Listening): Promise<Address> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => {
      server.off('listening', onListening);
      reject(error);
    };
    const onListening = (): void => {
      server.off('error', onError);
      // Accepting may fail for want of descriptors; connections then wait.
      server.on('error', () => {});
      const own = server.address() as { readonly address: string; readonly port: number };
      resolve({ address: own.address, port: own.port });
    };
    server.once('error', onError);
    server.once('listening', onListening);
    // Node.js listens again, and takes the length of the queue for a descriptor from here alone.
    if (fd !== undefined) server.listen({ fd }, BACKLOG);
    else server.listen({ host: local.address, port: local.port, ipv6Only: true, backlog: BACKLOG });
  });
}
