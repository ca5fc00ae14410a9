/**
 * The servers of a rack: DHCP, and Reveille with a store of boot sets. Each rack needs a network namespace of its own, in
 * which its addresses and ports are always free.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { initrdFor, markedKernel } from './boot-files.ts';
import { KERNEL_LOADED } from './machine.ts';
import type { Distribution } from '../support/debian-kernel.ts';
import { GRUB_NET } from './tools.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const TAP = 'tap0';
/** The server's address (RFC 5737), at the tap device itself: the network has no other link. */
const SERVER = '192.0.2.1';
/** Channel of the boot set that nodes load. */
const CHANNEL = 'rack/install';
const ARGUMENTS = 'console=ttyS0 panic=-1 quiet';

const GRUB_CONFIG = `linux /${CHANNEL}/vmlinuz ${ARGUMENTS}
echo ${KERNEL_LOADED}
sleep 3
initrd /${CHANNEL}/initrd
boot
`;

/** iPXE looks for names without a folder beside the script, by the protocol that the script came by. */
const IPXE_SCRIPT = `#!ipxe
kernel vmlinuz ${ARGUMENTS}
echo ${KERNEL_LOADED}
sleep 3
initrd initrd
boot
`;

/** Script that iPXE loads by TFTP and that leads to HTTP. */
const IPXE_TO_HTTP = `#!ipxe
chain http://${SERVER}/${CHANNEL}/boot.ipxe
`;

/** Config inside the GRUB image for HTTP. This GRUB requests an address itself; it can't take over the firmware's. */
const GRUB_TO_HTTP = `net_bootp
set root=(http,${SERVER})
configfile /grub/grub.cfg
`;
const GRUB_HTTP_MODULES = 'configfile echo efinet http linux net normal sleep'.split(' ');

const DHCP_ARGUMENTS = [
  '--no-daemon --conf-file=/dev/null --pid-file= --port=0 --log-facility=- --log-dhcp --no-ping',
  `--interface=${TAP} --bind-interfaces --dhcp-range=192.0.2.10,192.0.2.99,1h`,
  // UEFI HTTP boot sends this architecture (option 93) and requires its class (option 60) in the offer.
  '--dhcp-match=set:http,option:client-arch,16 --dhcp-option-force=tag:http,60,HTTPClient',
].flatMap((line) => line.split(' '));

export interface RackOptions {
  readonly folder: string;
  readonly distribution: Distribution;
  /** Boot file that DHCP names: a file of the boot set. */
  readonly bootFile: string;
  /** True if DHCP names the boot file by its URL. */
  readonly bootFileByHttp: boolean;
  /** Arguments of `reveille serve` beside those that all racks have. */
  readonly serve: readonly string[];
}

function makeHttpGrub(folder: string, path: string): void {
  const config = join(folder, 'grub-to-http.cfg');
  writeFileSync(config, GRUB_TO_HTTP);
  const image = ['--format=x86_64-efi', '--prefix=/grub', `--config=${config}`, `--output=${path}`];
  execFileSync('grub-mkimage', [...image, ...GRUB_HTTP_MODULES]);
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
    writeFileSync(join(set, 'boot.ipxe'), IPXE_SCRIPT);
    writeFileSync(join(set, 'http.ipxe'), IPXE_TO_HTTP);
    makeHttpGrub(folder, join(set, 'grubhttpx64.efi'));
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
    const { folder, bootFile, bootFileByHttp } = this.#options;
    const name = `${CHANNEL}/${bootFile}`;
    const args = [
      ...DHCP_ARGUMENTS,
      `--dhcp-leasefile=${join(folder, 'leases')}`,
      bootFileByHttp ? `--dhcp-boot=tag:http,http://${SERVER}/${name}` : `--dhcp-boot=${name},,${SERVER}`,
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
