/**
 * The keeper: a small process that starts the server, holds a copy of each of its sockets, and starts it again when it
 * dies. Its ports never close meanwhile, so no client gets an ICMP error. For an upgrade it starts a second server, which
 * takes the sockets over when it is prepared. Parses no packet and no config, and knows nothing about the descriptors
 * that it holds.
 */
import { closeDescriptor, type DescriptorChannel, type Passed } from '../engine/descriptor-channel.ts';
import { Held } from './held.ts';
import { decodeMessage, encodeMessage, FIRST_SERVER, type History, KEEPER_VERSION } from './protocol.ts';
import { ServerProcess } from './server-process.ts';

/** Exit code of a server after which it is started again: a failure. Others end the keeper too. */
const FAILED = 1;
/** A server that lived at least this long after it was ready does not count as dying at once. */
const LIVED_MS = 1000;
/** Pause before the second start in a row that did not live, ms; it doubles. The first has none. */
const PAUSE_MS = 500;
/** @limit Pause before a server that dies at once is started again, milliseconds. */
const MAX_PAUSE_MS = 10_000;
/** @limit Time in which a server must hand over to its successor, milliseconds; then it is killed. */
const HAND_OVER_MS = 2000;
/** @limit Time in which a successor must be prepared to take over, milliseconds; then it is killed. */
const PREPARE_MS = 60_000;

export interface KeeperOptions {
  /** The command of the server: the program, and its arguments. */
  readonly command: readonly [string, ...string[]];
  readonly environment: NodeJS.ProcessEnv;
  /** Descriptors given by a service manager, which the first server gets. */
  readonly given: readonly number[];
  /** Writes a line for the operator. */
  readonly say: (line: string) => void;
}

export class Keeper {
  readonly #options: KeeperOptions;
  readonly #held: Held;
  /** The server that uses the descriptors. */
  #server: ServerProcess | undefined;
  /** A server that prepares to replace it. */
  #successor: ServerProcess | undefined;
  /** Servers that have handed over and finish their HTTP connections. */
  readonly #leaving = new Set<ServerProcess>();
  /** True if the successor waits for the descriptors. */
  #isWanted = false;
  /** The server that has been asked to hand over. */
  #asked: ServerProcess | undefined;
  /** Kills a successor that is not prepared in time. */
  #patience: NodeJS.Timeout | undefined;
  /** The signal that the successor gets as soon as it has the descriptors. */
  #stopSignal: NodeJS.Signals | undefined;
  /** True if a server that is starting may have read its config before the last reload. */
  #isReloadDue = false;
  #wasReady = false;
  /** Starts in a row after which the server died at once. */
  #shortLives = 0;
  #history: History = FIRST_SERVER;
  #timer: NodeJS.Timeout | undefined;
  #isStopping = false;
  #end: (code: number) => void = () => {};

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#held = new Held(options.given, options.say);
  }

  /** Runs servers until one ends by itself or by a signal. @returns its exit code. */
  async run(): Promise<number> {
    const ended = new Promise<number>((resolve) => {
      this.#end = resolve;
    });
    this.#start();
    try {
      return await ended;
    } finally {
      clearTimeout(this.#timer);
      clearTimeout(this.#patience);
      this.#successor?.kill('SIGKILL');
      for (const server of this.#leaving) server.abandon();
      this.#held.clear();
    }
  }

  /** Passes a signal on that ends the server. Between two servers there is none, and the keeper ends. */
  stop(signal: NodeJS.Signals): void {
    this.#isStopping = true;
    if (this.#isWanted) {
      // The server leaves its transfers to the successor, which must end them.
      this.#stopSignal = signal;
      return;
    }
    this.#successor?.kill('SIGKILL');
    if (this.#server === undefined) this.#end(0);
    else this.#server.kill(signal);
  }

  reload(): void {
    const isReady = this.#server?.readyAt !== undefined;
    this.#isReloadDue = !isReady || this.#successor !== undefined;
    // Before it is ready, it may not handle the signal yet, which would end it.
    if (isReady) this.#server?.kill('SIGHUP');
  }

  /** Starts a server that replaces the present one once it is prepared. If it ends before, nothing changes. */
  upgrade(): void {
    const { say } = this.#options;
    if (this.#isStopping || this.#server?.readyAt === undefined) say('no server answers requests: nothing is upgraded');
    else if (this.#successor !== undefined) say('a successor is being started already');
    else {
      this.#successor = this.#spawn();
      this.#limitSuccessor(PREPARE_MS);
    }
  }

  /** Kills the successor if it does not ask for the descriptors in time. */
  #limitSuccessor(ms: number): void {
    clearTimeout(this.#patience);
    const successor = this.#successor;
    if (successor === undefined) return;
    this.#patience = setTimeout(() => {
      this.#options.say(`the successor is not prepared after ${ms} ms, and is killed`);
      successor.kill('SIGKILL');
    }, ms);
  }

  #spawn(): ServerProcess | undefined {
    const { command, environment, say } = this.#options;
    try {
      return new ServerProcess(command, environment, {
        onMessage: (server, passed) => this.#take(server, passed),
        onExit: (server, code, cause) => this.#lose(server, code, cause),
      });
    } catch (error) {
      say(`cannot start the server: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  }

  #start(): void {
    this.#server = this.#spawn();
    if (this.#server !== undefined) return;
    this.#shortLives++;
    this.#next(FAILED, 'a failed start');
  }

  /** @param code the exit code; null: a signal has ended the server. */
  #lose(server: ServerProcess, code: number | null, cause: string): void {
    if (this.#leaving.delete(server)) return;
    if (server === this.#successor) {
      clearTimeout(this.#patience);
      this.#successor = undefined;
      this.#isWanted = false;
      const result = this.#asked === undefined ? 'nothing has changed' : 'another server takes over';
      this.#options.say(`the successor has ended before it took over (${cause}); ${result}`);
      // The server that it was to replace has died meanwhile.
      if (this.#server === undefined) this.#next(null, cause);
      return;
    }
    clearTimeout(this.#timer);
    this.#server = undefined;
    // A server that hands over may end by itself before it says that it has.
    const wasAsked = server === this.#asked;
    this.#asked = undefined;
    const lived = server.readyAt !== undefined && performance.now() - server.readyAt >= LIVED_MS;
    this.#shortLives = lived ? 0 : this.#shortLives + 1;
    this.#next(wasAsked ? null : code, cause);
  }

  /** Ends, or starts the next server. */
  #next(code: number | null, cause: string): void {
    const isFailure = code === null || (code === FAILED && this.#wasReady);
    if (this.#isStopping || !isFailure) {
      // The end of a successor must not start a server any more.
      this.#isStopping = true;
      this.#end(code ?? FAILED);
      return;
    }
    const { say } = this.#options;
    const { deaths } = this.#history;
    this.#history = { ...this.#history, deaths: deaths + 1, deathsAtOnce: this.#shortLives, cause };
    if (this.#successor !== undefined) {
      say(`the server has died (${cause}); its successor takes over`);
      if (this.#isWanted) this.#promote();
      else this.#limitSuccessor(HAND_OVER_MS);
      return;
    }
    const pauseMs = this.#shortLives < 2 ? 0 : Math.min(MAX_PAUSE_MS, PAUSE_MS * 2 ** (this.#shortLives - 2));
    say(
      `the server has died (${cause}); ${pauseMs === 0 ? 'it is started again' : `the next start is in ${pauseMs} ms`}`,
    );
    this.#timer = setTimeout(() => this.#start(), pauseMs);
  }

  #take(server: ServerProcess, passed: Passed): void {
    const message = decodeMessage(passed.text);
    // A successor has not taken anything yet, and a server that has handed over has nothing left.
    const isCurrent = server === this.#server;
    switch (message?.type) {
      case 'hello':
        this.#greet(server, message.version);
        break;
      case 'take':
        this.#onTake(server);
        break;
      case 'handedOver':
        if (isCurrent) this.#onHandedOver(server);
        break;
      case 'hold':
        if (isCurrent) return this.#held.add(message, passed);
        break;
      case 'drop':
        if (isCurrent) for (const key of message.keys) this.#held.drop(key);
        break;
      case 'forget':
        if (isCurrent) this.#held.clear();
        break;
      case 'ready':
        this.#wasReady = true;
        server.readyAt ??= performance.now();
        if (isCurrent && this.#isReloadDue) this.reload();
        break;
      default:
        this.#options.say('ignores a message of the server that it does not understand');
    }
    for (const fd of passed.fds) closeDescriptor(fd);
  }

  #greet(server: ServerProcess, version: number): void {
    const standby = server === this.#successor && this.#server !== undefined;
    this.#tell(server.channel, { type: 'welcome', version: KEEPER_VERSION, standby });
    if (version === KEEPER_VERSION) return;
    const words = `version ${version} of the keeper's protocol, expected ${KEEPER_VERSION}`;
    if (server === this.#successor) {
      this.#options.say(`the successor speaks ${words}: restart the keeper instead of an upgrade`);
      server.kill('SIGKILL');
      return;
    }
    this.#options.say(
      `the server speaks ${words}: it starts without the sockets of the one before it; restart the keeper`,
    );
    this.#held.clear();
    // Nothing else that it sends is understood.
    this.#wasReady = true;
  }

  #onTake(server: ServerProcess): void {
    if (server === this.#server) return this.#held.give(server.channel, this.#history);
    if (server !== this.#successor || this.#isStopping) return;
    clearTimeout(this.#patience);
    this.#isWanted = true;
    const former = this.#server;
    if (former === undefined) return this.#promote();
    this.#asked = former;
    this.#tell(former.channel, { type: 'handOver' });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#options.say(`the server has not handed over within ${HAND_OVER_MS} ms, and is killed`);
      former.kill('SIGKILL');
    }, HAND_OVER_MS);
  }

  #onHandedOver(server: ServerProcess): void {
    // A server that was not asked leaves its transfers because of a fault, and its end follows.
    if (server !== this.#asked) return;
    this.#asked = undefined;
    clearTimeout(this.#timer);
    // Its successor has ended, and no other server is to follow.
    if (this.#isStopping && !this.#isWanted) return;
    this.#leaving.add(server);
    this.#server = undefined;
    if (!this.#isWanted) return this.#start();
    this.#history = { ...this.#history, upgrades: this.#history.upgrades + 1, cause: undefined };
    this.#promote();
  }

  /** Gives the descriptors to the successor, which is the server from now on. */
  #promote(): void {
    const server = this.#successor!;
    this.#server = server;
    this.#successor = undefined;
    this.#isWanted = false;
    this.#held.give(server.channel, this.#history);
    if (this.#stopSignal !== undefined) server.kill(this.#stopSignal);
  }

  #tell(channel: DescriptorChannel, message: Parameters<typeof encodeMessage>[0]): void {
    channel.send(encodeMessage(message));
  }
}
