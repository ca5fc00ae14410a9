/**
 * What a rack has beside its nodes: a DHCP server, and Reveille with a store of boot sets. Works in a network namespace
 * of its own, in which its addresses and ports are always free.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { initrdFor, markedKernel } from './boot-files.ts';
import { KERNEL_LOADED } from './machine.ts';
import { type Distribution, GRUB_NET } from './tools.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const TAP = 'tap0';
/** The server's address (RFC 5737), at the tap device itself: the network has no other link. */
const SERVER = '192.0.2.1';
const CHANNEL = 'rack/install';
const ARGUMENTS = 'console=ttyS0 panic=-1 quiet';

const GRUB_CONFIG = `linux /${CHANNEL}/vmlinuz ${ARGUMENTS}
echo ${KERNEL_LOADED}
sleep 3
initrd /${CHANNEL}/initrd
boot
`;

const DHCP_ARGUMENTS = [
  '--no-daemon --conf-file=/dev/null --pid-file= --port=0 --log-facility=- --log-dhcp --no-ping',
  `--interface=${TAP} --bind-interfaces --dhcp-range=192.0.2.10,192.0.2.99,1h`,
].flatMap((line) => line.split(' '));

export interface RackOptions {
  readonly folder: string;
  readonly distribution: Distribution;
  /** Arguments of `reveille serve` beside those that all racks have. */
  readonly serve: readonly string[];
}

export class Rack {
  readonly tap = TAP;
  readonly #options: RackOptions;
  readonly #children: ChildProcess[] = [];
  #log = '';
  #versions = 0;

  private constructor(options: RackOptions) {
    this.#options = options;
  }

  /** Publishes a first version, and starts the servers. */
  static async start(options: RackOptions): Promise<Rack> {
    const rack = new Rack(options);
    rack.publish();
    execFileSync('ip', ['tuntap', 'add', TAP, 'mode', 'tap']);
    execFileSync('ip', ['address', 'add', `${SERVER}/24`, 'dev', TAP]);
    execFileSync('ip', ['link', 'set', TAP, 'up']);
    try {
      await rack.#startReveille();
      await rack.#startDhcp();
      return rack;
    } catch (error) {
      await rack.stop();
      throw error;
    }
  }

  /** Mark of the version that new boots get. */
  get mark(): string {
    return `mark${this.#versions}`;
  }

  /** Everything that the servers have logged. */
  get log(): string {
    return this.#log;
  }

  /** Publishes a new version, whose kernel and initrd carry the next mark. */
  publish(): void {
    this.#versions++;
    const { folder, distribution } = this.#options;
    const set = join(folder, this.mark);
    mkdirSync(set);
    writeFileSync(join(set, 'vmlinuz'), markedKernel(distribution.kernel, this.mark));
    writeFileSync(join(set, 'initrd'), initrdFor(distribution.busybox, this.mark));
    copyFileSync(GRUB_NET, join(set, 'grubnetx64.efi'));
    execFileSync(process.execPath, [MAIN, 'publish', CHANNEL, set, '--store', join(folder, 'store')], {
      stdio: 'pipe',
    });
  }

  async stop(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      // oxlint-disable-next-line no-await-in-loop -- there are two of them.
      await once(child, 'exit');
    }
    execFileSync('ip', ['link', 'delete', TAP]);
  }

  async #startReveille(): Promise<void> {
    const { folder, serve } = this.#options;
    const root = join(folder, 'root');
    mkdirSync(join(root, 'grub'), { recursive: true });
    writeFileSync(join(root, 'grub/grub.cfg'), GRUB_CONFIG);
    const files = [root, '--store', join(folder, 'store'), '--leases', join(folder, 'leases')];
    const args = [MAIN, 'serve', ...files, '--listen', `${SERVER}:69`, '--no-admin', '--log-level', 'debug', ...serve];
    await this.#start(process.execPath, args, '"msg":"listening"');
  }

  async #startDhcp(): Promise<void> {
    const args = [
      ...DHCP_ARGUMENTS,
      `--dhcp-leasefile=${join(this.#options.folder, 'leases')}`,
      `--dhcp-boot=${CHANNEL}/grubnetx64.efi,,${SERVER}`,
    ];
    await this.#start('dnsmasq', args, 'DHCP, IP range');
  }

  /** Starts a server. Resolves when it logs the text. @throws Error if it ends before. */
  async #start(command: string, args: readonly string[], ready: string): Promise<void> {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.push(child);
    await new Promise<void>((resolve, reject) => {
      for (const input of [child.stdout, child.stderr]) {
        createInterface({ input }).on('line', (line) => {
          this.#log += `${line}\n`;
          if (line.includes(ready)) resolve();
        });
      }
      child.once('error', reject);
      child.once('close', (code) => reject(new Error(`${command} ended with ${code}:\n${this.#log}`)));
    });
  }
}
