/** Network namespaces with cables between them, for tests whose packets must take a way. They need root. */
import { execFileSync, spawnSync } from 'node:child_process';
import { onTestFinished } from 'vitest';

export const canMakeNamespaces =
  process.getuid?.() === 0 && spawnSync('unshare', ['--net', '--mount', 'ip', 'link']).status === 0;

let made = 0;

export class Namespace {
  readonly #name: string;

  /** It is gone when the test is over. */
  constructor() {
    this.#name = `reveille-${process.pid}-${++made}`;
    execFileSync('ip', ['netns', 'add', this.#name]);
    onTestFinished(() => void execFileSync('ip', ['netns', 'delete', this.#name]));
    // Addresses can be used at once: nobody else can have them.
    this.shell('sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0; ip link set lo up');
  }

  /** What runs a command in it. */
  get prefix(): readonly [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.#name];
  }

  /** @returns what the script printed. @throws Error when a command of it fails. */
  shell(script: string): string {
    const [file, ...args] = this.prefix;
    return execFileSync(file, [...args, 'sh', '-ec', script], { encoding: 'utf8' });
  }

  /** Lays a cable to another one. @param name of the interface at both ends. @param mtu of both, in bytes. */
  connect(other: Namespace, name: string, mtu: number): void {
    const ends = ['peer', 'name', name, 'netns', other.#name];
    execFileSync('ip', ['link', 'add', name, 'netns', this.#name, 'type', 'veth', ...ends]);
    for (const end of [this, other]) end.shell(`ip link set ${name} mtu ${mtu} up`);
  }

  /** A counter of the kernel's in it, such as `Ip` `FragCreates` (RFC 4293). */
  counter(group: string, name: string): number {
    const [names = '', values = ''] = this.shell('cat /proc/net/snmp')
      .split('\n')
      .filter((line) => line.startsWith(`${group}: `));
    return Number(values.split(' ')[names.split(' ').indexOf(name)]);
  }
}
