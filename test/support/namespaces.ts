/** Network namespaces with cables between them, for tests whose packets must take a certain route. They need root. */
import { execFileSync, spawnSync } from 'node:child_process';
import { onTestFinished } from 'vitest';

export const canMakeNamespaces =
  process.getuid?.() === 0 && spawnSync('unshare', ['--net', '--mount', 'ip', 'link']).status === 0;

let made = 0;

export class Namespace {
  readonly #name: string;

  /** Creates a namespace that is deleted after the test. */
  constructor() {
    this.#name = `reveille-${process.pid}-${++made}`;
    execFileSync('ip', ['netns', 'add', this.#name]);
    onTestFinished(() => void execFileSync('ip', ['netns', 'delete', this.#name]));
    // Without duplicate address detection, addresses can be used at once; no other host can have them.
    this.shell('sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0; ip link set lo up');
  }

  /** Command prefix that runs a command in the namespace. */
  get prefix(): readonly [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.#name];
  }

  /** @returns the output of the script. @throws Error if one of its commands fails. */
  shell(script: string): string {
    const [file, ...args] = this.prefix;
    return execFileSync(file, [...args, 'sh', '-ec', script], { encoding: 'utf8' });
  }

  /**
   * Connects two namespaces by a cable. @param name of the interface at both ends. @param mtu of both ends, in bytes.
   */
  connect(other: Namespace, name: string, mtu: number): void {
    const ends = ['peer', 'name', name, 'netns', other.#name];
    execFileSync('ip', ['link', 'add', name, 'netns', this.#name, 'type', 'veth', ...ends]);
    for (const end of [this, other]) end.shell(`ip link set ${name} mtu ${mtu} up`);
  }

  /** Kernel counter of the namespace, such as `Ip` `FragCreates` (RFC 4293). */
  counter(group: string, name: string): number {
    const [names = '', values = ''] = this.shell('cat /proc/net/snmp')
      .split('\n')
      .filter((line) => line.startsWith(`${group}: `));
    return Number(values.split(' ')[names.split(' ').indexOf(name)]);
  }
}
