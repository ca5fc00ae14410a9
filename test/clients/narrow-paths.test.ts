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

function hostOf(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** A server in a network namespace, and its log. */
class Served {
  readonly #reveille: Reveille;
  readonly #here = folder();
  #fetches = 0;
  /** Hosts of URLs, with the port of each. */
  readonly #ports = new Map<string, string>();

  constructor(where: Namespace, engine: string, addresses: readonly string[], ...flags: readonly string[]) {
    const root = folder();
    writeFileSync(join(root, 'kernel'), KERNEL);
    const listen = addresses.flatMap((address) => ['--listen', `${hostOf(address)}:0`]);
    const args = ['serve', root, ...listen, '--no-admin', '--engine', engine, '--workers', '1', ...flags];
    this.#reveille = new Reveille(args, { prefix: where.prefix });
  }

  /** Resolves when the server listens. */
  async start(): Promise<this> {
    const [line] = await this.#reveille.saying(/^.*"msg":"listening".*$/m);
    const { addresses } = JSON.parse(line) as { addresses: string[] };
    for (const address of addresses) {
      const [, host, port] = /^(.*):([0-9]+)$/.exec(address)!;
      this.#ports.set(host!, port!);
    }
    return this;
  }

  /** @returns true if curl receives the whole file. */
  async curl(from: Namespace, address: string, blksize: number, ...flags: readonly string[]): Promise<boolean> {
    const asked = ['--silent', '--tftp-blksize', String(blksize), ...flags];
    const host = hostOf(address);
    const url = `tftp://${host}:${this.#ports.get(host)}/kernel`;
    return this.#fetch(from, (file) => ['curl', ...asked, '--globoff', url, '-o', file]);
  }

  /** @returns true if atftp receives the whole file. */
  async atftp(from: Namespace, address: string, blksize: number): Promise<boolean> {
    const server = [address, this.#ports.get(hostOf(address))!];
    const asked = ['--option', `blksize ${blksize}`, '-g', '-r', 'kernel'];
    return this.#fetch(from, (file) => ['atftp', ...asked, '-l', file, ...server]);
  }

  async #fetch(from: Namespace, command: (file: string) => readonly string[]): Promise<boolean> {
    const file = join(this.#here, `kernel-${++this.#fetches}`);
    writeFileSync(file, '');
    const { code } = await run([...from.prefix, ...command(file)], PATIENCE_MS);
    return code === 0 && readFileSync(file).equals(KERNEL);
  }

  /** Log line of the first transfer to the client that ended as `complete`. */
  async completed(client: string): Promise<Line> {
    const [line] = await this.#reveille.saying(
      new RegExp(`^.*"client":"\\[?${client}\\]?:[0-9]+".*"outcome":"complete".*$`, 'm'),
    );
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
  it('grants a client blocks that fit the MTU of its route, not that of lo, and one on the server itself those that fit lo', async () => {
    const { server, client } = serviceAddress();
    const addresses = ['192.0.2.53', '2001:db8:53::53', '10.77.0.1'];
    const served = await new Served(server, engine, addresses).start();
    expect(await served.curl(client, '192.0.2.53', 65_464)).toBe(true);
    expect(await served.completed('10.77.0.2')).toMatchObject({ blksize: 1468 });
    expect(await served.curl(client, '2001:db8:53::53', 65_464)).toBe(true);
    expect(await served.completed('2001:db8:77::2')).toMatchObject({ blksize: 1448 });
    expect(server.counter('Ip', 'FragCreates')).toBe(0);
    expect(await served.curl(server, '192.0.2.53', 65_464)).toBe(true);
    expect(await served.completed('192.0.2.53')).toMatchObject({ blksize: 65_464 });
    // The MTU of this route is lower than that of its interface; Node.js knows interfaces alone.
    expect(await served.curl(client, '10.77.0.1', 1468, '--interface', '10.77.5.2')).toBe(true);
    expect(await served.completed('10.77.5.2')).toMatchObject({ blksize: engine === 'linux' ? 1368 : 1468 });
  });

  it('grants blocks that arrive after the first ones vanished without an MTU report, where it forbids fragments', async () => {
    const { server, client } = blackHole();
    const served = await new Served(server, engine, ['2001:db8:1::1', '10.77.1.1']).start();
    const overIpv6 = async (): Promise<void> => {
      expect(await served.curl(client, '2001:db8:1::1', 1428, '--max-time', '5')).toBe(false);
      expect(await served.curl(client, '2001:db8:1::1', 1428)).toBe(true);
      expect(await served.completed('2001:db8:2::2')).toMatchObject({ blksize: 1228 });
      expect(await served.atftp(client, '2001:db8:1::1', 1428)).toBe(true);
    };
    // Over IPv4, the Linux engine allows routers to fragment packets; the portable one cannot.
    const mayFragment = engine === 'linux';
    const overIpv4 = async (): Promise<void> => {
      expect(await served.curl(client, '10.77.1.1', 1468, '--max-time', '5')).toBe(mayFragment);
      expect(await served.curl(client, '10.77.1.1', 1468)).toBe(true);
      expect(await served.completed('10.77.2.2')).toMatchObject({ blksize: mayFragment ? 1468 : 1248 });
    };
    // Both wait for curl's patience.
    await Promise.all([overIpv6(), overIpv4()]);
    const smaller = [
      { client: '10.77.2.2', blksize: 1468, granted: 1248 },
      { client: '2001:db8:2::2', blksize: 1428, granted: 1228 },
    ];
    const lines = (await served.end(SMALLER)).toSorted((a, b) => (String(a['client']) < String(b['client']) ? -1 : 1));
    expect(lines).toMatchObject(mayFragment ? smaller.slice(1) : smaller);
  });

  it('grants a network with its own limit no larger blocks, so that the first ones arrive', async () => {
    const { server, client } = blackHole();
    const rules = ['--max-blksize', '1400', '--max-blksize', '2001:db8:2::/64=1300'];
    const served = await new Served(server, engine, ['2001:db8:1::1'], ...rules).start();
    expect(await served.atftp(client, '2001:db8:1::1', 1428)).toBe(true);
    expect(await served.completed('2001:db8:2::2')).toMatchObject({ blksize: 1300 });
    expect(await served.end(SMALLER)).toEqual([]);
  });
});
