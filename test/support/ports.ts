/** UDP ports for tests that bind the same number again, or at several addresses. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

const LOWEST = 10_240;
const TRIES = 100;

/**
 * A port that is free at every address, below the system's range of ephemeral ports. Servers of other tests keep a
 * thousand sockets each in that range for their transfers, so a port there may be taken as soon as it is closed.
 */
export async function lastingPort(): Promise<number> {
  const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1');
  const end = Number.parseInt(range, 10);
  for (let tries = 0; tries < TRIES; tries++) {
    const port = randomInt(LOWEST, end);
    // oxlint-disable-next-line no-await-in-loop -- the first port is usually free.
    if (await isFree(port)) return port;
  }
  throw new Error(`No free UDP port from ${LOWEST} to ${end - 1}`);
}

async function isFree(port: number): Promise<boolean> {
  const socket = createSocket('udp6').bind({ port, address: '::', exclusive: true });
  try {
    await once(socket, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}
