/** A virtual machine without a disk under QEMU. It boots from the network, and its process ends when it is off. */
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { OVMF_CODE, OVMF_VARIABLES } from './tools.ts';

/**
 * - `uefi-pxe`: OVMF loads its boot file by TFTP.
 * - `uefi-http`: OVMF loads its boot file by HTTP; PXE is switched off, because OVMF would try it first.
 * - `ipxe`: SeaBIOS starts the iPXE in the network card's ROM.
 */
export type Firmware = 'uefi-pxe' | 'uefi-http' | 'ipxe';

/** Text that boot scripts print on the console between kernel and initrd. They then wait for a few seconds. */
export const KERNEL_LOADED = 'The kernel is loaded';

export interface MachineOptions {
  readonly firmware: Firmware;
  readonly mac: string;
  /** Tap device that the network card is connected to. */
  readonly tap: string;
  /** Folder for the firmware's variables. */
  readonly folder: string;
  /** Time until the machine is ended if it is not off. */
  readonly timeoutMs: number;
}

/** No acceleration: machines that run these tests may be virtual themselves. */
const COMMON_ARGUMENTS =
  '-accel tcg -machine q35,graphics=off -m 512 -display none -monitor none -serial stdio -no-reboot'.split(' ');

function firmwareArguments({ firmware, folder }: MachineOptions): string[] {
  if (firmware === 'ipxe') return [];
  const variables = join(folder, 'variables.fd');
  copyFileSync(OVMF_VARIABLES, variables);
  const flash = (unit: number, file: string, more: string): string[] => [
    '-drive',
    `if=pflash,format=raw,unit=${unit},file=${file}${more}`,
  ];
  const withoutPxe = ['IPv4PXESupport', 'IPv6PXESupport'].flatMap((name) => [
    '-fw_cfg',
    `name=opt/org.tianocore/${name},string=n`,
  ]);
  return [
    ...flash(0, OVMF_CODE, ',readonly=on'),
    ...flash(1, variables, ''),
    ...(firmware === 'uefi-http' ? withoutPxe : []),
  ];
}

export class Machine {
  /** Resolves when the machine has ended: with true if it was switched off, with false if it was ended. */
  readonly switchedOff: Promise<boolean>;
  readonly #process: ChildProcess;
  readonly #printed = new EventEmitter();
  #serial = '';

  constructor(options: MachineOptions) {
    const { firmware, mac, tap, timeoutMs } = options;
    // An empty ROM leaves the card to the drivers of OVMF; otherwise QEMU gives it iPXE.
    const rom = firmware === 'ipxe' ? '' : ',romfile=';
    const args = [
      ...COMMON_ARGUMENTS,
      ...firmwareArguments(options),
      '-netdev',
      `tap,id=net,ifname=${tap},script=no,downscript=no`,
      '-device',
      `virtio-net-pci,netdev=net,mac=${mac},bootindex=1${rom}`,
    ];
    const stdio = ['ignore', 'pipe', 'pipe'] as const;
    this.#process = spawn('qemu-system-x86_64', args, { stdio: [...stdio], timeout: timeoutMs, killSignal: 'SIGKILL' });
    for (const stream of [this.#process.stdout!, this.#process.stderr!]) {
      stream.setEncoding('latin1').on('data', (text: string) => {
        this.#serial += text;
        this.#printed.emit('text');
      });
    }
    this.switchedOff = once(this.#process, 'close').then(([code]) => code === 0);
  }

  /** Everything on the serial console so far, without control characters. */
  get serial(): string {
    return stripVTControlCharacters(this.#serial).replaceAll(/\r\n?/g, '\n');
  }

  /** Resolves with true when the console shows the text, or with false when the machine has ended without. */
  async prints(text: string): Promise<boolean> {
    let ended = false;
    const end = this.switchedOff.then(() => {
      ended = true;
    });
    while (!this.serial.includes(text)) {
      if (ended) return false;
      // oxlint-disable-next-line no-await-in-loop -- the text may be printed in pieces.
      await Promise.race([once(this.#printed, 'text'), end]);
    }
    return true;
  }

  /** Stops the machine until {@link resume}. Its clocks go on. */
  pause(): void {
    this.#process.kill('SIGSTOP');
  }

  resume(): void {
    this.#process.kill('SIGCONT');
  }

  end(): void {
    this.#process.kill('SIGKILL');
  }
}
