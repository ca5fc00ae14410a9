/** A node and a server in network namespaces, and what is between them, for `npm run test:port`. */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';

const ONE_PORT_CLIENT = join(import.meta.dirname, 'one-port-client.mjs');

/** The result of a boot. */
export const WHOLE = 'whole';

/** A node, a router that knows the server as 10.77.1.1, and the server, each in a namespace. */
export class Network {
  readonly #names = ['node', 'router', 'server'].map((name) => `reveille-${process.pid}-${name}`);
  readonly #files: ReadonlyMap<string, Buffer>;

  /** @param files names and contents that the server has. */
  constructor(files: ReadonlyMap<string, Buffer>) {
    this.#files = files;
    const [node = '', router = '', server = ''] = this.#names;
    for (const name of this.#names) execFileSync('ip', ['netns', 'add', name]);
    execFileSync('sh', [
      '-ec',
      `
      ip link add near netns ${node} type veth peer name near netns ${router}
      ip link add far netns ${router} type veth peer name far netns ${server}`,
    ]);
    this.shell('node', 'ip address add 10.77.1.2/24 dev near; ip link set near up; ip link set lo up');
    this.shell(
      'router',
      `ip address add 10.77.1.1/24 dev near; ip address add 10.77.2.1/24 dev far
      ip link set near up; ip link set far up; ip link set lo up; sysctl -qw net.ipv4.ip_forward=1`,
    );
    this.shell(
      'server',
      `ip address add 10.77.2.2/24 dev far; ip link set far up; ip link set lo up
      ip route add default via 10.77.2.1`,
    );
  }

  prefix(where: 'node' | 'router' | 'server'): readonly string[] {
    return ['ip', 'netns', 'exec', this.#names.find((name) => name.endsWith(where))!];
  }

  shell(where: 'node' | 'router' | 'server', script: string): string {
    const [file = '', ...args] = this.prefix(where);
    return execFileSync(file, [...args, 'sh', '-ec', script], { encoding: 'utf8' });
  }

  /** Fetches a file with curl. @returns true if it arrives whole. */
  fetches(name: string): boolean {
    const [file = '', ...args] = this.prefix('node');
    const curl = ['curl', '--silent', '--max-time', '10', '--tftp-blksize', '1400', `tftp://10.77.1.1/${name}`];
    const { status, stdout } = spawnSync(file, [...args, ...curl], { maxBuffer: 2 ** 24 });
    return status === 0 && stdout.equals(this.#files.get(name)!);
  }

  boots(): boolean {
    return [...this.#files.keys()].every((name) => this.fetches(name));
  }

  /** Fetches all files from one client port. @returns WHOLE, or what has arrived. */
  bootFrom(port: number, ms: number): string {
    const [file = '', ...args] = this.prefix('node');
    const names = [...this.#files.keys()];
    const command = [process.execPath, ONE_PORT_CLIENT, '10.77.1.1', String(port), String(ms), ...names];
    const { status, stdout } = spawnSync(file, [...args, ...command], { maxBuffer: 2 ** 24 });
    const expected = Buffer.concat([...this.#files.values()]);
    if (status === 0 && stdout.equals(expected)) return WHOLE;
    return `${stdout.length} of ${expected.length} bytes, ${status === 0 ? 'not those of the files' : 'then nothing'}`;
  }

  /** Asks for a file, takes a few blocks of it, and falls silent. @returns true if it got them. */
  leaves(port: number, name: string, blocks: number): boolean {
    const [file = '', ...args] = this.prefix('node');
    const command = [process.execPath, ONE_PORT_CLIENT, '10.77.1.1', String(port), '10000', `${name}#${blocks}`];
    return spawnSync(file, [...args, ...command], { maxBuffer: 2 ** 24 }).status === 0;
  }

  /**
   * Turns the router into two switches, to which a virtual machine connects the node and the server.
   *
   * @returns the machine's tap devices, in the router's namespace.
   */
  becomeSwitches(): [near: string, far: string] {
    for (const end of ['near', 'far']) {
      this.shell(
        'router',
        `ip address flush dev ${end}; ip link add switch-${end} type bridge; ip tuntap add tap-${end} mode tap
        for port in ${end} tap-${end}; do ip link set $port master switch-${end}; done
        for link in tap-${end} switch-${end}; do ip link set $link up; done`,
      );
    }
    return ['tap-near', 'tap-far'];
  }

  close(): void {
    for (const name of this.#names) execFileSync('ip', ['netns', 'delete', name]);
  }
}

/**
 * Only UDP to port 69 is forwarded to the server, and only answers to it come back.
 *
 * @param port the one port of the router that all nodes' packets come from; undefined: nodes keep their addresses.
 */
export function forward(to: string, port?: number): string {
  const masquerade = port === undefined ? '' : `oifname "far" ip protocol udp masquerade to :${port}`;
  return `nft -f - <<'END'
table ip t
delete table ip t
table ip t {
  chain nat {
    type nat hook prerouting priority dstnat
    iifname "near" udp dport 69 dnat to ${to}
  }
  chain source {
    type nat hook postrouting priority srcnat
    ${masquerade}
  }
  chain filter {
    type filter hook forward priority filter; policy drop
    iifname "near" udp dport 69 accept
    iifname "far" ct direction reply accept
  }
}
END`;
}
