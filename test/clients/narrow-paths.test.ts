/**
 * Blocks that are too large for the path to their client: real clients behind real routes and routers in network
 * namespaces, with the built server on both engines.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { seededBytes } from '../support/content.ts';
import { canMakeNamespaces, Namespace } from '../support/namespaces.ts';
import { folder, Reveille } from '../support/reveille.ts';
import { run } from '../support/clients.ts';

const KERNEL = seededBytes(1, 200_000);
const PATIENCE_MS = 20_000;

interface Line {
  readonly blksize: number;
  readonly client: string;
  readonly outcome: string;
}

/** A server in a network namespace, and its log. */
class Served {
  readonly #reveille: Reveille;
  readonly #host: string;
  readonly #here = folder();
  #port = 0;

  constructor(where: Namespace, engine: string, address: string, ...flags: readonly string[]) {
    const root = folder();
    writeFileSync(join(root, 'kernel'), KERNEL);
    this.#host = address.includes(':') ? `[${address}]` : address;
    const listen = ['--listen', `${this.#host}:0`, '--no-admin'];
    const args = ['serve', root, ...listen, '--engine', engine, '--workers', '1', ...flags];
    this.#reveille = new Reveille(args, { prefix: where.prefix });
  }

  /** Resolves when the server listens. */
  async start(): Promise<this> {
    const [line] = await this.#reveille.saying(/^.*"msg":"listening".*$/m);
    const { addresses } = JSON.parse(line) as { addresses: string[] };
    this.#port = Number(/[0-9]+$/.exec(addresses[0]!)![0]);
    return this;
  }

  /** @returns true if curl receives the whole file. */
  async curl(from: Namespace, blksize: number, ...flags: readonly string[]): Promise<boolean> {
    const asked = ['--silent', '--tftp-blksize', String(blksize), ...flags];
    return this.#fetch(from, (file) => [
      'curl',
      ...asked,
      '--globoff',
      `tftp://${this.#host}:${this.#port}/kernel`,
      '-o',
      file,
    ]);
  }

  /** @returns true if atftp receives the whole file. */
  async atftp(from: Namespace, blksize: number): Promise<boolean> {
    const server = [this.#host.replaceAll(/[[\]]/g, ''), String(this.#port)];
    const asked = ['--option', `blksize ${blksize}`, '-g', '-r', 'kernel'];
    return this.#fetch(from, (file) => ['atftp', ...asked, '-l', file, ...server]);
  }

  async #fetch(from: Namespace, command: (file: string) => readonly string[]): Promise<boolean> {
    const file = join(this.#here, 'kernel');
    writeFileSync(file, '');
    const { code } = await run([...from.prefix, ...command(file)], PATIENCE_MS);
    return code === 0 && readFileSync(file).equals(KERNEL);
  }

  /** Log line of the first transfer that ended as `complete`. */
  async completed(): Promise<Line> {
    const [line] = await this.#reveille.saying(/^.*"outcome":"complete".*$/m);
    return JSON.parse(line) as Line;
  }

  /** Kills the server. @returns the lines of its log with that message. */
  async end(message: string): Promise<Record<string, unknown>[]> {
    this.#reveille.process.kill('SIGKILL');
    const { stdout } = await this.#reveille.ended;
    const lines = stdout.trim().split('\n');
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ msg }) => msg === message);
  }
}

/** A server with a service address on `lo`, and an Ethernet client with a second address behind a smaller MTU. */
function serviceAddress(): { server: Namespace; client: Namespace } {
  const [server, client] = [new Namespace(), new Namespace()];
  server.connect(client, 'eth', 1500);
  server.shell(`
    ip address add 10.77.0.1/24 dev eth; ip address add 2001:db8:77::1/64 dev eth
    ip address add 192.0.2.53/32 dev lo; ip address add 2001:db8:53::53/128 dev lo
    ip route add 10.77.5.2/32 via 10.77.0.2 mtu 1400`);
  client.shell(`
    ip address add 10.77.0.2/24 dev eth; ip address add 2001:db8:77::2/64 dev eth; ip address add 10.77.5.2/32 dev lo
    ip route add default via 10.77.0.1; ip route add default via 2001:db8:77::1`);
  return { server, client };
}

/**
 * A server and a client on Ethernet with a 1,400-byte link between them. The router's filter drops the ICMP errors for
 * packets that are too long.
 */
function blackHole(): { server: Namespace; client: Namespace } {
  const [server, router, client] = [new Namespace(), new Namespace(), new Namespace()];
  server.connect(router, 'near', 1500);
  router.connect(client, 'far', 1400);
  server.shell(`
    ip address add 10.77.1.1/24 dev near; ip address add 2001:db8:1::1/64 dev near
    ip route add default via 10.77.1.254; ip route add default via 2001:db8:1::254`);
  router.shell(`
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    ip address add 10.77.1.254/24 dev near; ip address add 2001:db8:1::254/64 dev near
    ip address add 10.77.2.254/24 dev far; ip address add 2001:db8:2::254/64 dev far
    nft add table inet t; nft add chain inet t o '{ type filter hook output priority 0; }'
    nft add rule inet t o icmp code frag-needed drop; nft add rule inet t o icmpv6 type packet-too-big drop`);
  client.shell(`
    ip address add 10.77.2.2/24 dev far; ip address add 2001:db8:2::2/64 dev far
    ip route add default via 10.77.2.254; ip route add default via 2001:db8:2::254`);
  return { server, client };
}

const SMALLER = 'blocks did not arrive: the client is granted smaller ones';

describe.runIf(canMakeNamespaces).each(['linux', 'portable'])('the %s engine', (engine) => {
  it.each([
    ['192.0.2.53', 1468],
    ['2001:db8:53::53', 1448],
  ])('grants a client blocks that fit the MTU of its route, not that of lo: %s', async (address, granted) => {
    const { server, client } = serviceAddress();
    const served = await new Served(server, engine, address).start();
    expect(await served.curl(client, 65_464)).toBe(true);
    expect(await served.completed()).toMatchObject({ blksize: granted });
    expect(server.counter('Ip', 'FragCreates')).toBe(0);
  });

  it('grants a client on the server itself blocks that fit lo, through a service address', async () => {
    const { server } = serviceAddress();
    const served = await new Served(server, engine, '192.0.2.53').start();
    expect(await served.curl(server, 65_464)).toBe(true);
    expect(await served.completed()).toMatchObject({ blksize: 65_464 });
  });

  it('grants blocks that arrive after the first ones vanished without an MTU report: IPv6', async () => {
    const { server, client } = blackHole();
    const served = await new Served(server, engine, '2001:db8:1::1').start();
    expect(await served.curl(client, 1428, '--max-time', '5')).toBe(false);
    expect(await served.curl(client, 1428)).toBe(true);
    expect(await served.completed()).toMatchObject({ blksize: 1228 });
    expect(await served.atftp(client, 1428)).toBe(true);
    expect(await served.end(SMALLER)).toMatchObject([{ client: '2001:db8:2::2', blksize: 1428, granted: 1228 }]);
  });

  it('grants a network with its own limit no larger blocks, so that the first ones arrive', async () => {
    const { server, client } = blackHole();
    const rules = ['--max-blksize', '1400', '--max-blksize', '2001:db8:2::/64=1300'];
    const served = await new Served(server, engine, '2001:db8:1::1', ...rules).start();
    expect(await served.atftp(client, 1428)).toBe(true);
    expect(await served.completed()).toMatchObject({ blksize: 1300 });
    expect(await served.end(SMALLER)).toEqual([]);
  });
});

describe.runIf(canMakeNamespaces)('over IPv4', () => {
  it('the linux engine allows routers to fragment packets', async () => {
    const { server, client } = blackHole();
    const served = await new Served(server, 'linux', '10.77.1.1').start();
    expect(await served.curl(client, 1468)).toBe(true);
    expect(await served.completed()).toMatchObject({ blksize: 1468 });
    expect(await served.end(SMALLER)).toEqual([]);
  });

  it('the portable engine, whose packets forbid fragments, grants blocks that arrive after the first ones vanished', async () => {
    const { server, client } = blackHole();
    const served = await new Served(server, 'portable', '10.77.1.1').start();
    expect(await served.curl(client, 1468, '--max-time', '5')).toBe(false);
    expect(await served.curl(client, 1468)).toBe(true);
    expect(await served.completed()).toMatchObject({ blksize: 1248 });
  });

  it('the linux engine uses the MTU of a route that is lower than that of its interface', async () => {
    const { server, client } = serviceAddress();
    const served = await new Served(server, 'linux', '10.77.0.1').start();
    expect(await served.curl(client, 1468, '--interface', '10.77.5.2')).toBe(true);
    expect(await served.completed()).toMatchObject({ blksize: 1368 });
  });
});
