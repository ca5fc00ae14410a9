/**
 * An IPVS director: a virtual machine with Debian's kernel, because the running one may lack ip_vs. It forwards UDP port
 * 69 of its first card's address to one server behind its second card, as a Kubernetes node in IPVS mode does.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { CHARACTER_DEVICE, cpio, type Entry, FOLDER, REGULAR } from './cpio.ts';
import type { Distribution } from './debian-kernel.ts';

const QEMU = 'qemu-system-x86_64';
const IPVSADM = '/sbin/ipvsadm';
/** No acceleration: machines that run these tests may be virtual themselves. */
const MACHINE = '-accel tcg -machine q35,graphics=off -m 256 -display none -monitor none -serial stdio -no-reboot';
const READY = 'The director is ready';
const END = 'End of the connections';
const START_MS = 300_000;

export interface DirectorOptions {
  readonly distribution: Distribution;
  /** Command prefix that runs a command in the network namespace of the tap devices. */
  readonly prefix: readonly string[];
  /** Folder for the kernel and its first file system. */
  readonly folder: string;
  /** Tap devices of the two cards, in the namespace. */
  readonly taps: readonly [near: string, far: string];
  /** The director's addresses, with the lengths of their prefixes: `192.0.2.1/24`. */
  readonly addresses: readonly [near: string, far: string];
  /** The server's address. */
  readonly server: string;
}

/** The first program of the machine. It answers each line on the console with a list of connections. */
function init({ addresses, server }: DirectorOptions): string {
  const [near, far] = addresses;
  const service = `${near.split('/')[0]}:69`;
  return `#!/busybox sh
set -e
/busybox mount -t proc proc /proc
for module in /modules/*; do /busybox insmod "$module"; done
/busybox ip address add ${near} dev eth0
/busybox ip address add ${far} dev eth1
for card in lo eth0 eth1; do /busybox ip link set $card up; done
echo 1 > /proc/sys/net/ipv4/ip_forward
${IPVSADM} -A -u ${service} -s sh
${IPVSADM} -a -u ${service} -r ${server}:69 -m
echo ${READY}
while read -r line; do
  ${IPVSADM} -L -n -c
  echo ${END}
done
`;
}

/** Returns a program and the libraries that it is linked with. */
function linked(program: string): string[] {
  const libraries = execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g);
  return [program, ...[...libraries].map(([, path]) => path!)];
}

function fileSystem(options: DirectorOptions): Buffer {
  const { busybox, modules } = options.distribution;
  const files = new Map<string, Buffer>([
    ['/busybox', busybox],
    ['/init', Buffer.from(init(options))],
    ...linked(IPVSADM).map((path) => [path, readFileSync(path)] as const),
    ...modules.map((module, index) => [`/modules/${String(index).padStart(2, '0')}.ko`, module] as const),
  ]);
  const folders = new Set(['proc', 'dev']);
  for (const path of files.keys()) {
    const parts = path.slice(1).split('/');
    for (let depth = 1; depth < parts.length; depth++) folders.add(parts.slice(0, depth).join('/'));
  }
  const entries: Entry[] = [
    ...[...folders].map((name) => ({ name, mode: FOLDER })),
    { name: 'dev/console', mode: CHARACTER_DEVICE, device: [5, 1] },
    ...[...files].map(([path, content]) => ({ name: path.slice(1), mode: REGULAR, content })),
  ];
  return gzipSync(cpio(entries), { level: 1 });
}

export class Director {
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  #console = '';
  #onText = (): void => {};

  private constructor(process: ChildProcess) {
    this.#process = process;
    this.#ended = once(process, 'exit');
    for (const stream of [process.stdout!, process.stderr!]) {
      stream.setEncoding('latin1').on('data', (text: string) => {
        this.#console += text;
        this.#onText();
      });
    }
  }

  /** @throws Error with the machine's console if it ends, or takes too long, before it forwards. */
  static async start(options: DirectorOptions): Promise<Director> {
    const { prefix, folder, taps, distribution } = options;
    const [kernel, initrd] = [join(folder, 'director-kernel'), join(folder, 'director-initrd')];
    writeFileSync(kernel, distribution.kernel);
    writeFileSync(initrd, fileSystem(options));
    const cards = taps.flatMap((tap, card) => [
      '-netdev',
      `tap,id=net${card},ifname=${tap},script=no,downscript=no`,
      '-device',
      `virtio-net-pci,netdev=net${card},mac=52:54:00:77:00:0${card + 1},romfile=`,
    ]);
    const boot = ['-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0 panic=-1 quiet'];
    const [file = '', ...args] = [...prefix, QEMU, ...MACHINE.split(' '), ...boot, ...cards];
    const director = new Director(spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] }));
    try {
      await director.#prints(READY, START_MS);
    } catch (error) {
      await director.end();
      throw error;
    }
    return director;
  }

  /** Returns the clients' ports whose packets the director forwards. */
  async connections(): Promise<number[]> {
    this.#console = '';
    this.#process.stdin!.write('\n');
    await this.#prints(END, START_MS);
    return [...this.#console.matchAll(/^UDP +\S+ +UDP +\S+:(\d+) /gm)].map(([, port]) => Number(port));
  }

  async end(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
  }

  async #prints(text: string, ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(this.#failure(`does not print "${text}" within ${ms / 1000} s`)), ms);
    });
    const over = this.#ended.then(() => Promise.reject(this.#failure('has ended')));
    const printed = new Promise<void>((resolve) => {
      this.#onText = (): void => {
        if (this.#console.includes(text)) resolve();
      };
    });
    try {
      await Promise.race([printed, late, over]);
    } finally {
      clearTimeout(timer);
      over.catch(() => {});
    }
  }

  #failure(what: string): Error {
    return new Error(`The director ${what}. Its console:\n${this.#console}`);
  }
}
