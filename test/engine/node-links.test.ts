/** Links of simulated nodes: thousands of loopback addresses share a few sockets of the Linux engine. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LinuxEngine } from '../../src/engine/linux/engine.ts';
import { checkLinuxEngine } from '../../src/engine/linux/self-check.ts';
import type { Link, LinkReceiver } from '../../src/engine/types.ts';
import { RawLink, RawPeer } from '../support/datagrams.ts';

const SILENT: LinkReceiver = { onDatagram: () => {}, onUnreachable: () => {}, onUnreadable: () => {} };
const unavailable = await checkLinuxEngine();

describe.skipIf(unavailable !== undefined)('links of simulated nodes', () => {
  let engine: LinuxEngine;
  let others: LinuxEngine;

  beforeEach(() => {
    engine = new LinuxEngine();
    others = new LinuxEngine();
  });

  afterEach(async () => {
    await engine.close();
    await others.close();
  });

  it('share four sockets among a thousand loopback addresses, in turn by their number', async () => {
    const answers: string[] = [];
    const server = await engine.listen({ address: '127.0.0.1', port: 0 }, (bytes, length, peer, port) => {
      answers.push(peer.address);
      port.reply(bytes, length, peer);
    });
    const links: Link[] = [];
    const heard = new Map<string, number>();
    await Promise.all(
      Array.from({ length: 1000 }, async (_, node) => {
        const local = `127.5.${node >> 8}.${node & 255}`;
        await new Promise<void>((resolve) => {
          const onDatagram = (bytes: Uint8Array): void => {
            heard.set(local, (bytes[0]! << 8) | bytes[1]!);
            resolve();
          };
          const options = { local, peer: server.local, peerPort: 'learn', shared: node } as const;
          void others.link(options, { ...SILENT, onDatagram }).then((link) => {
            links.push(link);
            link.control(Uint8Array.of(node >> 8, node & 255), 2);
          });
        });
      }),
    );
    expect(new Set(links.map(({ local }) => local.port)).size).toBe(4);
    expect(new Set(answers).size).toBe(1000);
    const portOf = (node: number) =>
      links.find(({ local }) => local.address === `127.5.${node >> 8}.${node & 255}`)?.local.port;
    expect(portOf(4)).toBe(portOf(0));
    expect(portOf(5)).not.toBe(portOf(0));
    for (let node = 0; node < 1000; node++) expect(heard.get(`127.5.${node >> 8}.${node & 255}`)).toBe(node);
  });

  it('get nothing that arrived at their port before they were opened', async () => {
    const peer = await RawPeer.open(engine, '127.0.0.1');
    const open = (local: string): Promise<RawLink> =>
      RawLink.open(others, { local, peer: peer.local, peerPort: 'learn', shared: 1 });
    const former = await open('127.5.0.1');
    const neighbor = await open('127.5.0.2');
    const { local } = former.link;
    former.link.close();
    // On loopback a datagram has arrived when the call returns.
    peer.send(local, 1);
    peer.send(neighbor.link.local, 2);
    const opening = open('127.5.0.1');
    peer.send(local, 3);
    const next = await opening;
    expect(next.link.local).toEqual(local);
    await Promise.all([next.inbox.has(1), neighbor.inbox.has(1)]);
    expect([former, neighbor, next].map(({ inbox }) => inbox.contents)).toEqual([[], [[2]], [[3]]]);
  });
});
