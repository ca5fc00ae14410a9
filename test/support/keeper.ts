/** A keeper and its server as separate processes, and a keeper that a test plays. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { closeDescriptor, DescriptorChannel, type Passed } from '../../src/engine/descriptor-channel.ts';
import { CHANNEL_VARIABLE, decodeMessage, encodeMessage, type Message } from '../../src/keeper/protocol.ts';
import type { Reveille } from './reveille.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Returns the process of the server that the keeper runs now; undefined between two servers. */
export function serverOf({ process: { pid } }: Reveille): number | undefined {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ');
  return child === undefined || child === '' ? undefined : Number(child);
}

/** Waits until stdout has `count` lines with the message "listening". @returns the last of them. */
export async function listening(
  keeper: Reveille,
  count: number,
): Promise<{ addresses: string[]; admin: string; http: string[] }> {
  const [all] = await keeper.saying(new RegExp(`(?:[^]*?"msg":"listening"\\}\n){${count}}`));
  return JSON.parse(all.trimEnd().split('\n').at(-1)!) as { addresses: string[]; admin: string; http: string[] };
}

/** The built server, with descriptors that it is given from 3 on. */
export class GivenServer {
  readonly #output: string[] = [];
  readonly #process;
  #stirred: () => void = () => {};

  /** @param setup commands of the shell that becomes the server. */
  constructor(args: readonly string[], fds: readonly number[], setup: string) {
    this.#process = spawn('/bin/sh', ['-c', `${setup}; exec "$@"`, 'sh', process.execPath, MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', ...fds],
    });
    for (const stream of [this.#process.stdout!, this.#process.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output.push(text);
        this.#stirred();
      });
    }
    const ended = once(this.#process, 'close');
    onTestFinished(async () => {
      this.#process.kill('SIGKILL');
      await ended;
    });
  }

  async saying(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#output.join(''))) {
      // oxlint-disable-next-line no-await-in-loop -- each text may be the one.
      await new Promise<void>((resolve) => {
        this.#stirred = resolve;
      });
    }
  }
}

/** The built server as a service manager starts it. */
export function activated(args: readonly string[], fds: readonly number[]): GivenServer {
  return new GivenServer(args, fds, `export LISTEN_PID=$$ LISTEN_FDS=${fds.length}`);
}

/** The built server, whose keeper is the test. */
export class KeptServer extends GivenServer {
  readonly #channel: DescriptorChannel;

  private constructor(args: readonly string[], channel: DescriptorChannel, other: number) {
    super(args, [other], `export ${CHANNEL_VARIABLE}=3`);
    closeDescriptor(other);
    this.#channel = channel;
    onTestFinished(() => channel.close());
  }

  static start(args: readonly string[]): KeptServer {
    return new KeptServer(args, ...DescriptorChannel.pair());
  }

  /** Receives the next message. */
  async next(): Promise<Passed & { message: Message | undefined }> {
    for (;;) {
      const passed = this.#channel.receive();
      if (passed !== undefined) return { ...passed, message: decodeMessage(passed.text) };
      // oxlint-disable-next-line no-await-in-loop -- the loop waits for a message.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Receives messages until the server has a descriptor with this label held. */
  async holds(label: string): Promise<true> {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- messages come one after the other.
      const { message, fds } = await this.next();
      for (const fd of fds) closeDescriptor(fd);
      if (message?.type === 'hold' && message.labels.includes(label)) return true;
    }
  }

  tell(message: Message, fds: readonly number[] = []): void {
    this.#channel.send(encodeMessage(message), fds);
  }
}
