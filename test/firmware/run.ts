/**
 * Boots real firmware in virtual machines from Reveille, up to an initrd that reports whether it belongs to the running
 * kernel. In each boot, another version is published between kernel and initrd.
 *
 *   npm run test:firmware -- [--short] [--chain NAME] [--timeout SECONDS]
 *
 * `--short` boots one machine once. If a boot fails, prints the serial console and the servers' logs, and exits with 1.
 * Needs root, Debian's packages in .ci/apt-packages, and a build. Where they are missing, prints a notice and exits with
 * 0, in CI with 1. All traffic stays in a network namespace of its own.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Firmware, KERNEL_LOADED, Machine } from './machine.ts';
import { Rack } from './rack.ts';
import { type Distribution, distribution, provideDistribution } from '../support/debian-kernel.ts';
import { obstacle } from './tools.ts';

const HTTP = ['--http', '192.0.2.1:80'];

interface Chain {
  readonly name: string;
  readonly what: string;
  readonly firmware: Firmware;
  /** Boot file that DHCP names, in the boot set. */
  readonly bootFile: string;
  readonly serve?: readonly string[];
  /** True if publishing between kernel and initrd mixes the boot, which the initrd must notice. */
  readonly mixes?: boolean;
  /**
   * True if the second boot is that of another node. GRUB begins each boot at the same TCP port, so a node that boots again
   * within a minute meets connections of its last boot that the server's kernel still keeps, and cannot connect.
   */
  readonly isOtherNode?: boolean;
}

const CHAINS: readonly Chain[] = [
  {
    name: 'grub-tftp',
    what: 'OVMF loads GRUB by TFTP, GRUB its config, kernel and initrd by TFTP',
    firmware: 'uefi-pxe',
    bootFile: 'grubnetx64.efi',
  },
  {
    name: 'ipxe-tftp',
    what: 'iPXE loads its script, kernel and initrd by TFTP',
    firmware: 'ipxe',
    bootFile: 'boot.ipxe',
  },
  {
    name: 'ipxe-http',
    what: 'iPXE loads a script by TFTP, and another script, kernel and initrd by HTTP',
    firmware: 'ipxe',
    bootFile: 'http.ipxe',
    serve: HTTP,
  },
  {
    name: 'grub-http',
    what: 'OVMF loads GRUB by HTTP, GRUB its config, kernel and initrd by HTTP',
    firmware: 'uefi-http',
    bootFile: 'grubhttpx64.efi',
    serve: HTTP,
    isOtherNode: true,
  },
  {
    name: 'mixed',
    what: 'iPXE is in a shared network, where the server keeps no boot on one version',
    firmware: 'ipxe',
    bootFile: 'boot.ipxe',
    serve: ['--shared-networks', '192.0.2.0/24'],
    mixes: true,
  },
];
const MACS = ['52:54:00:12:34:56', '52:54:00:12:34:57'] as const;

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    chain: { type: 'string', multiple: true },
    timeout: { type: 'string', default: '300' },
    inside: { type: 'boolean', default: false },
  },
});

/** Runs this command again in its own namespaces. All of its processes end with it. */
function enterNamespace(): number {
  const script = 'ip link set lo up && exec "$@"';
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1), '--inside'];
  const namespaces = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const { status } = spawnSync('unshare', [...namespaces, 'sh', '-c', script, 'sh', ...command], { stdio: 'inherit' });
  return status ?? 1;
}

/** Boots a machine once. @returns what is wrong with the boot, for a person to read; undefined if nothing is. */
async function boot(rack: Rack, folder: string, chain: Chain, mac: string): Promise<string | undefined> {
  const { firmware, mixes = false } = chain;
  const { mark } = rack;
  const timeoutMs = 1000 * Number(values.timeout);
  const machine = new Machine({ firmware, mac, tap: rack.tap, folder, timeoutMs });
  let isOff: boolean;
  try {
    if (await machine.prints(KERNEL_LOADED)) {
      machine.pause();
      rack.publish();
      machine.resume();
    }
    isOff = await machine.switchedOff;
  } finally {
    machine.end();
  }
  const expected = `REVEILLE kernel=${mark} initrd=${mixes ? rack.mark : mark} match=${mixes ? 'no' : 'yes'}`;
  if (isOff && machine.serial.split('\n').includes(expected)) return undefined;
  const end = isOff ? 'The machine switched itself off' : `The machine had to be ended after ${values.timeout} s`;
  return `${end}. Expected on its console: ${expected}\n-- console\n${machine.serial}\n-- servers\n${rack.log}\n`;
}

/** @returns true if every boot ended as it must. */
async function runChain(chain: Chain, files: Distribution): Promise<boolean> {
  const { name, what, firmware, bootFile, serve = [], isOtherNode = false } = chain;
  const folder = mkdtempSync(join(tmpdir(), 'reveille-firmware-'));
  const rack = await Rack.start({
    folder,
    distribution: files,
    bootFile,
    bootFileByHttp: firmware === 'uefi-http',
    serve,
  });
  try {
    // The second boot must get the version that was published during the first one.
    for (let turn = 1; turn <= (values.short ? 1 : 2); turn++) {
      const begun = performance.now();
      // oxlint-disable-next-line no-await-in-loop -- one boot after the other.
      const wrong = await boot(rack, folder, chain, MACS[turn === 2 && isOtherNode ? 1 : 0]);
      const took = `${((performance.now() - begun) / 1000).toFixed(0)} s`;
      process.stdout.write(`${name}, boot ${turn} (${what}): ${wrong === undefined ? 'passed' : 'FAILED'}, ${took}\n`);
      if (wrong !== undefined) {
        process.stdout.write(wrong);
        return false;
      }
    }
    return true;
  } finally {
    await rack.stop();
    rmSync(folder, { recursive: true });
  }
}

async function main(): Promise<number> {
  const files = distribution();
  const names = values.chain ?? (values.short ? ['grub-tftp'] : CHAINS.map(({ name }) => name));
  let failed = 0;
  for (const name of names) {
    const chain = CHAINS.find((candidate) => candidate.name === name);
    if (chain === undefined)
      throw new Error(`Expected --chain to be one of ${CHAINS.map((known) => known.name).join(', ')}`);
    // oxlint-disable-next-line no-await-in-loop -- one machine after the other.
    if (!(await runChain(chain, files))) failed++;
  }
  return failed === 0 ? 0 : 1;
}

/** @returns the exit code. */
function begin(): number {
  const why = obstacle();
  if (why !== undefined) {
    process.stderr.write(`\n*** NOT TESTED with real firmware: ${why}\n\n`);
    return process.env['CI'] === 'true' ? 1 : 0;
  }
  provideDistribution();
  return enterNamespace();
}

process.exitCode = values.inside ? await main() : begin();
