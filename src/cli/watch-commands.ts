/**
 * `reveille top` and `reveille node`: the current state of a running server, and the reason why a node did not boot.
 * Knows flags and screens.
 */
import type { Command } from 'commander';
import { LiveStore } from '../live/live-store.ts';
import { compareRows } from '../live/words.ts';
import type { LiveSnapshot } from '../live/wire.ts';
import { AdminClient, AdminError } from './admin-client.ts';
import { adminAddress, adminCommand, configuredAdmin } from './admin-command.ts';
import { readToken } from '../config/api-token.ts';
import { flag } from '../config/flag.ts';
import type { CommandContext } from '../daemon/interrupts.ts';
import { reportText } from './views/node-report-text.ts';
import { escapeJson, safeText } from '../text/escape.ts';
import { CLEAR_BELOW, CLEAR_TO_END, HIDE_CURSOR, NARROWEST, SHOW_CURSOR, type Terminal } from '../text/terminal.ts';
import { renderTop, type TopOptions } from './views/top-view.ts';
import { EXIT, type ExitCode, UsageError } from '../config/usage-error.ts';
import { wholeNumber } from '../config/value-kind.ts';

/** Wait between two attempts to reach a server that does not answer, in milliseconds. */
const AGAIN_MS = 2000;
const ENTER = `\x1b[?1049h${HIDE_CURSOR}`;
const LEAVE = `${SHOW_CURSOR}\x1b[?1049l`;
const HOME = '\x1b[H';

export interface Screen extends Terminal {
  readonly rows?: number;
  on?(event: 'resize', listen: () => void): unknown;
  off?(event: 'resize', listen: () => void): unknown;
}

/** Source of key presses. */
export interface Keys {
  readonly isTTY?: boolean;
  setRawMode?(on: boolean): unknown;
  on(event: 'data', listen: (bytes: Buffer) => void): unknown;
  off(event: 'data', listen: (bytes: Buffer) => void): unknown;
  pause(): unknown;
}

export interface WatchContext extends CommandContext {
  /** Default: the process's own. */
  readonly stdout?: Screen;
  readonly stdin?: Keys;
}

interface AdminFlags {
  readonly admin?: string;
  readonly apiTokenFile?: string;
  readonly config?: string;
  readonly json?: boolean;
}

interface TopFlags extends AdminFlags {
  readonly once?: boolean;
  readonly by?: string;
  readonly width?: number;
}

/** Flags take precedence over the server's config, and that over the default. @throws UsageError */
async function clientOf(flags: AdminFlags): Promise<AdminClient> {
  const values = configuredAdmin(flags.config);
  const address = await adminAddress(flags.admin, values);
  const file = flags.apiTokenFile ?? values.apiTokenFile;
  const token = flags.apiTokenFile === undefined && values.apiToken !== undefined ? values.apiToken : undefined;
  return new AdminClient(address, token ?? (file === undefined ? undefined : readToken(file)));
}

function colourOf(stdout: Screen): boolean {
  return stdout.isTTY === true && process.env['NO_COLOR'] === undefined;
}

function screenOf({ stdout = process.stdout }: WatchContext): Screen {
  // The reader of stdout may leave early.
  if (stdout === process.stdout) process.stdout.on('error', () => {});
  return stdout;
}

/** Takes one snapshot; this takes a second, since rates need two readings. @throws AdminError */
async function lookOnce(client: AdminClient): Promise<LiveSnapshot> {
  const store = new LiveStore();
  const seen = new AbortController();
  await client.follow(
    {
      snapshot: (snapshot) => store.begin(snapshot),
      change: (change) => {
        if (store.apply(change)) seen.abort();
      },
    },
    seen.signal,
  );
  const { whole } = store;
  if (whole === undefined) throw new AdminError(`${client.address}: the server closed the connection`);
  return { ...whole, nodes: [...store.rows.values()].toSorted(compareRows) };
}

async function runOnce(client: AdminClient, flags: TopFlags, stdout: Screen): Promise<ExitCode> {
  const snapshot = await lookOnce(client);
  if (flags.json === true) {
    stdout.write(`${escapeJson(JSON.stringify(snapshot, undefined, 2))}\n`);
    return EXIT.fine;
  }
  const width = flags.width ?? (stdout.isTTY === true ? stdout.columns : undefined) ?? 120;
  const lines = renderTop(snapshot, snapshot.nodes, {
    width: Math.max(NARROWEST, width),
    height: Number.MAX_SAFE_INTEGER,
    colour: colourOf(stdout),
    address: client.address,
    now: snapshot.now,
    grouping: flags.by,
  });
  stdout.write(`${lines.join('\n')}\n`);
  return EXIT.fine;
}

/** Redraws the whole screen whenever something has changed. */
class TopScreen {
  readonly #stdout: Screen;
  readonly #store = new LiveStore();
  readonly #options: Pick<TopOptions, 'address' | 'grouping'>;
  #trouble = '';

  constructor(stdout: Screen, options: Pick<TopOptions, 'address' | 'grouping'>) {
    this.#stdout = stdout;
    this.#options = options;
    stdout.write(ENTER);
    stdout.on?.('resize', this.draw);
  }

  readonly followed = {
    snapshot: (snapshot: Parameters<LiveStore['begin']>[0]): void => {
      this.#trouble = '';
      this.#store.begin(snapshot);
      this.draw();
    },
    change: (change: Parameters<LiveStore['apply']>[0]): void => {
      if (this.#store.apply(change)) this.draw();
    },
  };

  lost(why: string): void {
    this.#trouble = `${why}. Trying again … Press q to quit.`;
    this.draw();
  }

  readonly draw = (): void => {
    const width = Math.max(NARROWEST, (this.#stdout.columns ?? 80) - 1);
    const height = Math.max(4, (this.#stdout.rows ?? 24) - 1);
    const { whole } = this.#store;
    const note = this.#trouble === '' ? [] : [safeText(this.#trouble).slice(0, width)];
    const lines =
      whole === undefined
        ? note
        : [
            ...note,
            ...renderTop(whole, [...this.#store.rows.values()], {
              ...this.#options,
              width,
              height: height - note.length,
              colour: colourOf(this.#stdout),
              now: this.#store.now,
            }),
          ];
    this.#stdout.write(`${HOME}${lines.map((text) => `${text}${CLEAR_TO_END}\n`).join('')}${CLEAR_BELOW}`);
  };

  close(): void {
    this.#stdout.off?.('resize', this.draw);
    this.#stdout.write(LEAVE);
  }
}

/** Ends the view on q, Escape or Ctrl-C, which a raw terminal delivers as a key. */
function watchKeys(stdin: Keys | undefined, end: () => void): () => void {
  if (stdin?.isTTY !== true) return () => {};
  const onKey = (bytes: Buffer): void => {
    const key = bytes.toString('latin1');
    if (key === 'q' || key === '\x1b' || key === '\x03') end();
  };
  stdin.setRawMode?.(true);
  stdin.on('data', onKey);
  return () => {
    stdin.off('data', onKey);
    stdin.setRawMode?.(false);
    stdin.pause();
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}

async function runTop(flags: TopFlags, context: WatchContext): Promise<ExitCode> {
  const client = await clientOf(flags);
  const stdout = screenOf(context);
  const isLive = stdout.isTTY === true && flags.once !== true && flags.json !== true;
  if (!isLive) return await runOnce(client, flags, stdout);
  const abort = new AbortController();
  const { signal } = abort;
  context.interrupts.on('signal', () => abort.abort());
  // Runs before the screen is taken over, so that an error at the start is printed and ends the command.
  await client.snapshot();
  const screen = new TopScreen(stdout, { address: client.address, grouping: flags.by });
  const release = watchKeys(context.stdin ?? process.stdin, () => abort.abort());
  try {
    while (!signal.aborted) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- connections follow one another.
        await client.follow(screen.followed, signal);
        if (!signal.aborted) screen.lost('The server closed the connection');
      } catch (error) {
        if (!(error instanceof AdminError)) throw error;
        screen.lost(error.message);
      }
      // oxlint-disable-next-line no-await-in-loop -- as above.
      if (!signal.aborted) await pause(AGAIN_MS, signal);
    }
  } finally {
    release();
    screen.close();
  }
  return EXIT.fine;
}

async function runNode(text: string, flags: AdminFlags, context: WatchContext): Promise<ExitCode> {
  const client = await clientOf(flags);
  const stdout = screenOf(context);
  let report: Awaited<ReturnType<AdminClient['node']>>;
  try {
    report = await client.node(text);
  } catch (error) {
    if (error instanceof AdminError && error.status === 400) throw new UsageError(error.message, { cause: error });
    throw error;
  }
  const width = Math.min(100, Math.max(40, stdout.columns ?? 100));
  stdout.write(
    flags.json === true ? `${escapeJson(JSON.stringify(report, undefined, 2))}\n` : reportText(report, width),
  );
  return report.boots.length > 0 ? EXIT.fine : EXIT.failed;
}

function watchCommand(program: Command, nameAndArguments: string): Command {
  return adminCommand(program, nameAndArguments)
    .option('--api-token-file <FILE>', 'file with the token, needed for a server on another machine')
    .option('--json', 'print one JSON document');
}

/** Adds the commands. @param done receives their exit code. */
export function addWatchCommands(program: Command, context: WatchContext, done: (code: ExitCode) => void): void {
  const width = wholeNumber(NARROWEST, 1000);
  watchCommand(program, 'top')
    .summary('watch what a running server is doing')
    .description(
      'Shows the nodes that boot, and those that need a look and why, as it changes. q quits. If stdout is not a terminal, prints once.',
    )
    .option('--by <LABEL>', 'group nodes by a label of the inventory, or by subnet')
    .option('--once', 'print once and exit')
    .option('--width <N>', 'columns if stdout is not a terminal (default: 120)', flag('--width', width))
    .action(async (flags: TopFlags) => done(await runTop(flags, context)));
  watchCommand(program, 'node')
    .summary('show why a node did not boot')
    .description(
      'Prints the last boots of one node as a running server remembers them: its requests, the answers, where it stopped, and what that usually means.',
    )
    .argument('<NODE>', 'MAC, IP address, UUID or serial number of the node, or its name in the inventory')
    .addHelpText(
      'after',
      '\nExit codes: 0 the server remembers the node; 1 it does not, or it did not answer; 2 wrong usage.\n',
    )
    .action(async (node: string, flags: AdminFlags) => done(await runNode(node, flags, context)));
}
