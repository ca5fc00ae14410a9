/** A server as the keeper's child: its process and its channel. Knows no descriptors and decides nothing. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeDescriptor, DescriptorChannel, type Passed } from '../engine/descriptor-channel.ts';
import { CHANNEL_VARIABLE } from './protocol.ts';

/** The descriptor of the channel in the server. */
const CHANNEL = 3;

export interface ServerEvents {
  onMessage(server: ServerProcess, passed: Passed): void;
  /** Called once. @param code the exit code; null: a signal has ended it. @param cause the end in words. */
  onExit(server: ServerProcess, code: number | null, cause: string): void;
}

export class ServerProcess {
  readonly channel: DescriptorChannel;
  /** When it answered requests first, by performance.now(). */
  readyAt: number | undefined;
  readonly #process: ChildProcess;
  readonly #events: ServerEvents;

  /** @throws Error when there are no descriptors, or no memory, for one more process. */
  constructor(command: readonly [string, ...string[]], environment: NodeJS.ProcessEnv, events: ServerEvents) {
    const [program, ...args] = command;
    const [own, other] = DescriptorChannel.pair();
    this.channel = own;
    this.#events = events;
    try {
      this.#process = spawn(program, args, {
        stdio: ['inherit', 'inherit', 'inherit', other],
        env: { ...environment, [CHANNEL_VARIABLE]: String(CHANNEL) },
        // In a process group of its own it gets no signal of the terminal besides the one that is passed on.
        detached: true,
      });
    } catch (error) {
      own.close();
      throw error;
    } finally {
      closeDescriptor(other);
    }
    own.watch(() => this.#listen());
    this.#process.once('error', (error) => {
      // The system could not start the program: 'exit' does not follow.
      if (this.#process.pid === undefined) this.#exit(1, error.message);
    });
    this.#process.once('exit', (code, signal) => this.#exit(code, signal ?? `exit code ${code}`));
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Ends a server that nobody needs; the keeper ends without waiting for it. */
  abandon(): void {
    this.#process.kill('SIGTERM');
    this.#process.unref();
    this.channel.close();
  }

  #exit(code: number | null, cause: string): void {
    // Its last messages are still there to be read.
    this.#listen();
    this.channel.close();
    this.#events.onExit(this, code, cause);
  }

  #listen(): void {
    for (let passed = this.channel.receive(); passed !== undefined; passed = this.channel.receive()) {
      this.#events.onMessage(this, passed);
    }
    // The exit of the process follows. An ended channel would be readable forever.
    if (this.channel.hasEnded) this.channel.unwatch();
  }
}
