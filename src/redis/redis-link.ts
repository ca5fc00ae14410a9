/**
 * A link to a Valkey or Redis server that never makes its callers wait for long: each command has a deadline, and while
 * the server is away commands fail at once. Reconnects on its own, to the master that Sentinels name if there are any.
 * Knows keys' prefix; no meaning of keys.
 */
import { readFileSync, statSync } from 'node:fs';
import { Connection, type ConnectOptions, within } from './connection.ts';
import { connectFailure, failureLine, refusal, RedisError } from './redis-error.ts';
import { type RedisAddress, type RedisHost, showHost } from './redis-url.ts';
import { masterOf } from './sentinel.ts';

/**
 * Time until a command without an answer fails.
 * @limit Time that a request waits for a shared pin. Shows: `reveille_shared_pins_failed_total`.
 */
export const DEADLINE_MS = 100;
/** Time for connecting, logging in and trying a write. */
const CONNECT_MS = 3000;
/** Pauses between attempts to connect grow from the first to the second. */
const [FIRST_PAUSE_MS, LAST_PAUSE_MS] = [50, 2000];
/** Late answers in a row after which the link counts as down, although answers arrive. */
const MAX_LATE = 8;
/**
 * Commands that wait for their answers.
 * @limit Commands to the server of shared pins under way; more fail at once. Shows:
 * `reveille_shared_pins_failed_total`.
 */
const MAX_UNDER_WAY = 10_000;
/** Interval at which Sentinels are asked for the master, in case it changed without breaking the connection. */
const ASK_SENTINELS_MS = 5000;

export type RedisState = 'up' | 'down';
export type RedisCommand = readonly (string | number)[];

/** A connection to a Valkey or Redis server, or to the master that Sentinels name. All keys get the prefix. */
export interface RedisLink {
  /** `down` while no connection stands, or the server has stopped answering. */
  readonly state: RedisState;
  /** Why the link is down, in one line with the server; undefined while it is up, or was never tried. */
  readonly trouble: string | undefined;
  /**
   * Runs one command on keys of this fleet. Fails at once while the link is down.
   *
   * @param deadlineMs default DEADLINE_MS. @throws RedisError at the deadline at the latest.
   */
  run(command: RedisCommand, deadlineMs?: number): Promise<unknown>;
  /**
   * Runs several commands in one write.
   *
   * @returns answers in order; an error of the server is an element.
   * @throws RedisError when the link is down, or one of the answers is late.
   */
  batch(commands: readonly RedisCommand[], deadlineMs?: number): Promise<readonly unknown[]>;
  /**
   * Receives notices (PUBLISH to `key(topic)`) on one topic of this fleet, after each reconnection as well.
   *
   * @returns a promise that resolves once the subscription stands, or was refused for now because the link is down.
   */
  subscribe(topic: string, onNotice: (text: string) => void): Promise<void>;
  /** Returns the prefix and the parts, joined by `:`. */
  key(...parts: string[]): string;
  /** Calls back after each change of `state`, and when `trouble` is another one. */
  onState(listener: (state: RedisState) => void): void;
  close(): Promise<void>;
}

export interface RedisOptions {
  readonly address: RedisAddress;
  readonly prefix: string;
  /** PEM file of certificate authorities, in place of the system's; read at each connection. */
  readonly caFile?: string | undefined;
  /** File with the password, which its own first line is; read at each connection. */
  readonly passwordFile?: string | undefined;
  /** Commands that must work before the link counts as up. Default: one write. */
  readonly probe?: (key: (...parts: string[]) => string) => readonly RedisCommand[];
}

/** Starts connecting in the background. */
export function openRedis(options: RedisOptions): RedisLink {
  return new ReconnectingLink(options);
}

class ReconnectingLink implements RedisLink {
  readonly #options: RedisOptions;
  readonly #topics = new Map<string, (text: string) => void>();
  readonly #listeners: ((state: RedisState) => void)[] = [];
  #connection: Connection | undefined;
  #trouble: string | undefined;
  #underWay = 0;
  #answeredAt = 0;
  #late = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #timer: NodeJS.Timeout | undefined;
  #asking: NodeJS.Timeout | undefined;
  readonly #closing = new AbortController();

  constructor(options: RedisOptions) {
    this.#options = options;
    void this.#connect();
  }

  get state(): RedisState {
    return this.#connection === undefined ? 'down' : 'up';
  }

  get trouble(): string | undefined {
    return this.#trouble;
  }

  key(...parts: string[]): string {
    return [this.#options.prefix, ...parts].join(':');
  }

  onState(listener: (state: RedisState) => void): void {
    this.#listeners.push(listener);
  }

  async run(command: RedisCommand, deadlineMs: number = DEADLINE_MS): Promise<unknown> {
    const [answer] = await this.batch([command], deadlineMs);
    if (answer instanceof RedisError) throw answer;
    return answer;
  }

  async batch(commands: readonly RedisCommand[], deadlineMs: number = DEADLINE_MS): Promise<readonly unknown[]> {
    const connection = this.#connection;
    if (connection === undefined) throw new RedisError('down', this.#trouble ?? 'no connection yet');
    if (this.#underWay + commands.length > MAX_UNDER_WAY) {
      throw new RedisError('down', `${MAX_UNDER_WAY} commands are under way`);
    }
    const sentAt = performance.now();
    this.#underWay += commands.length;
    const answers = Promise.all(commands.map((command) => this.#answer(connection, command)));
    return await this.#inTime(connection, answers, sentAt, deadlineMs);
  }

  async subscribe(topic: string, onNotice: (text: string) => void): Promise<void> {
    this.#topics.set(topic, onNotice);
    const connection = this.#connection;
    if (connection === undefined) return;
    try {
      await connection.subscribe(this.key(topic), onNotice, this.#limits());
    } catch (error) {
      this.#lose(connection, error);
    }
  }

  close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    clearTimeout(this.#asking);
    this.#connection?.close();
    this.#connection = undefined;
    return Promise.resolve();
  }

  /** Resolves to the server's answer, or to an error. */
  async #answer(connection: Connection, command: RedisCommand): Promise<unknown> {
    try {
      const answer = await connection.send(command);
      this.#answeredAt = performance.now();
      return answer;
    } catch (error) {
      const { ErrorReply } = await import('@redis/client');
      if (!(error instanceof ErrorReply)) return new RedisError('down', failureLine(error));
      this.#answeredAt = performance.now();
      const refused = refusal(error);
      // A former master: writes go to another server now.
      if (refused.message.startsWith('READONLY')) this.#lose(connection, refused);
      return refused;
    } finally {
      this.#underWay--;
    }
  }

  async #inTime(
    connection: Connection,
    answers: Promise<readonly unknown[]>,
    sentAt: number,
    deadlineMs: number,
  ): Promise<readonly unknown[]> {
    let isLate = false;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      // Answers that arrived while this thread was busy are read before the timer's next turn ends.
      timer = setTimeout(() => setImmediate(() => setImmediate(resolve, undefined)), deadlineMs);
    });
    const first = await Promise.race([answers, late]);
    clearTimeout(timer);
    isLate = first === undefined;
    if (!isLate) {
      this.#late = 0;
      const broken = first!.find((answer) => answer instanceof RedisError && answer.failure === 'down');
      if (broken !== undefined) throw broken as RedisError;
      return first!;
    }
    const error = new RedisError('deadline', `no answer within ${deadlineMs} ms`);
    if (this.#answeredAt < sentAt || ++this.#late >= MAX_LATE) this.#lose(connection, error);
    throw error;
  }

  /** Gives a connection up and opens another one. */
  #lose(connection: Connection, error: unknown): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    clearTimeout(this.#asking);
    connection.close();
    this.#fail(connection.host, error, failureLine);
    this.#connectLater();
  }

  /** @param lineOf describes an error of the socket or the server. */
  #fail(host: RedisHost, error: unknown, lineOf: (error: unknown) => string): void {
    const reason = error instanceof RedisError ? error.message : lineOf(error);
    const trouble = `${showHost(host)}: ${reason}`;
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    for (const listener of this.#listeners) listener('down');
  }

  #connectLater(): void {
    // Servers that lost the same engine must not return to it together.
    const waitMs = this.#pauseMs * (0.5 + Math.random());
    this.#pauseMs = Math.min(2 * this.#pauseMs, LAST_PAUSE_MS);
    this.#timer = setTimeout(() => void this.#connect(), waitMs).unref();
  }

  async #connect(): Promise<void> {
    const { address, probe } = this.#options;
    let host = address.hosts[0]!;
    let connection: Connection | undefined;
    try {
      const options = this.#connectOptions();
      if (address.master !== undefined) host = await masterOf(address, address.master, options);
      const lost = { error: undefined as unknown };
      connection = await Connection.open(host, { ...options, ...this.#limits() }, (error) => {
        lost.error ??= error;
        if (connection !== undefined) this.#lose(connection, error);
      });
      const limits = this.#limits();
      const key = this.key.bind(this);
      const commands = probe?.(key) ?? [['SET', this.key('probe'), '1', 'PX', CONNECT_MS]];
      const tried = connection;
      await within(Promise.all(commands.map((command) => tried.send(command))), limits);
      for (const [topic, onNotice] of this.#topics) {
        // oxlint-disable-next-line no-await-in-loop -- the first subscription opens the connection.
        await connection.subscribe(this.key(topic), onNotice, limits);
      }
      if (lost.error !== undefined) throw lost.error;
    } catch (error) {
      connection?.close();
      if (this.#closing.signal.aborted) return;
      this.#fail(host, error, (reason) => connectFailure(reason, address.isTls));
      this.#connectLater();
      return;
    }
    if (this.#closing.signal.aborted) return connection.close();
    this.#connection = connection;
    this.#trouble = undefined;
    this.#late = 0;
    this.#pauseMs = FIRST_PAUSE_MS;
    for (const listener of this.#listeners) listener('up');
    this.#askSentinels(connection);
  }

  /** @throws RedisError when a file can't be read. */
  #connectOptions(): ConnectOptions {
    const { address, caFile, passwordFile } = this.#options;
    const { isTls, user, database } = address;
    const password = passwordFile === undefined ? address.password : passwordIn(passwordFile);
    const ca = caFile === undefined ? undefined : fileText(caFile);
    return { isTls, user, password, database, ca, ...this.#limits() };
  }

  #limits(): Pick<ConnectOptions, 'until' | 'signal'> {
    return { until: performance.now() + CONNECT_MS, signal: this.#closing.signal };
  }

  /** A master that was cut off from its Sentinels takes writes that are lost later. */
  #askSentinels(connection: Connection): void {
    const { address } = this.#options;
    const { master } = address;
    if (master === undefined || this.#connection !== connection) return;
    this.#asking = setTimeout(() => {
      const ask = async (): Promise<RedisHost> => await masterOf(address, master, this.#connectOptions());
      ask()
        .then((host) => {
          if (showHost(host) === showHost(connection.host)) return;
          this.#lose(connection, new RedisError('down', `${showHost(host)} is the master now`));
        })
        // Without Sentinels the connection that stands is the best guess.
        .catch(() => {})
        .finally(() => this.#askSentinels(connection));
    }, ASK_SENTINELS_MS).unref();
  }
}

/** Read permission for others (S_IROTH). */
const OTHERS_READ = 0o004;

function passwordIn(path: string): string {
  const text = fileText(path);
  const mode = statSync(path).mode & 0o777;
  if (process.platform !== 'win32' && (mode & OTHERS_READ) !== 0) {
    const expected = 'expected a password file that only its owner can read';
    throw new RedisError('down', `${expected}, got mode ${mode.toString(8)}: chmod 600`);
  }
  return text.split(/\r?\n/, 1)[0]!;
}

function fileText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new RedisError('down', connectFailure(error, false));
  }
}
