/**
 * `reveille get`: one download. Knows the command line, the output and the words for failures; src/client runs the
 * transfer.
 */
import { lookup } from 'node:dns/promises';
import type { Command } from 'commander';
import { fetchFile, type FetchResult } from '../client/fetch.ts';
import { encodeReadRequest, MAX_CONTROL, wishedOptions } from '../protocol/encode.ts';
import { MAX_BLKSIZE, MIN_BLKSIZE, type Wish, MAX_WINDOWSIZE } from '../protocol/negotiate.ts';
import { escapeText } from '../text/escape.ts';
import { errorCode, errorLine } from '../text/error-text.ts';
import { flag } from '../config/flag.ts';
import type { CommandContext } from '../daemon/interrupts.ts';
import { OutputFile } from './output-file.ts';
import { ProgressBar } from './views/progress.ts';
import { localName, parseTftpUri, type TftpUri } from './tftp-uri.ts';
import { EXIT, type ExitCode, UsageError } from '../config/usage-error.ts';
import { wholeNumber } from '../config/value-kind.ts';

export interface GetFlags {
  readonly output?: string;
  readonly blksize?: number;
  readonly windowsize?: number;
  readonly tsize?: boolean;
  readonly netascii?: boolean;
  readonly quiet?: boolean;
}

/** @returns the reason why a download failed, in words; undefined when it succeeded. */
export function failureOf(result: FetchResult, mode: TftpUri['mode']): string | undefined {
  const said = result.errorText === '' ? '' : `: ${escapeText(result.errorText)}`;
  const { tsize, bytes } = result;
  if (result.violation !== undefined) return `the server violated the protocol: ${escapeText(result.violation)}`;
  switch (result.outcome) {
    case 'complete':
    case 'completeUnconfirmed':
      // In netascii, tsize counts the bytes sent, not those of the file written here.
      return mode === 'netascii' || tsize === undefined || tsize === bytes
        ? undefined
        : `the server announced ${tsize} bytes and sent ${bytes}`;
    case 'refused':
      return `the server refused: error ${result.errorCode ?? 0}${said}`;
    case 'clientError':
    case 'probe':
      return `the server gave up after ${bytes} bytes: error ${result.errorCode ?? 0}${said}`;
    case 'timeout':
      return bytes === 0 ? 'no answer' : `no more data after ${bytes} bytes`;
    case 'unreachable':
      return 'nobody listens on that port';
    case 'aborted':
      return result.fault === undefined ? 'stopped' : `stopped: ${escapeText(result.fault)}`;
  }
}

/** Encodes the request once to check that it fits a packet. */
function checkLength(filename: string, mode: TftpUri['mode'], wish: Wish): void {
  try {
    encodeReadRequest(new Uint8Array(MAX_CONTROL), filename, mode, wishedOptions(wish));
  } catch (cause) {
    throw new UsageError(
      `get: expected a name that fits into a request of ${MAX_CONTROL} bytes, got a name of ${filename.length} bytes`,
      {
        cause,
      },
    );
  }
}

function outputName(flags: GetFlags, filename: string): string {
  const name = flags.output ?? localName(filename);
  if (name === undefined)
    throw new UsageError(
      `get: expected -o FILE, because no file name can be derived from "${escapeText(filename, 60)}"`,
    );
  if (name === '') throw new UsageError('-o: expected a file or -, got an empty name');
  return name;
}

/** Downloads one file. @returns the exit code. @throws UsageError before anything was sent. */
export async function runGet(text: string, flags: GetFlags, context: CommandContext): Promise<ExitCode> {
  const { interrupts, stderr } = context;
  const uri = parseTftpUri(text);
  const mode = flags.netascii === true ? 'netascii' : uri.mode;
  const wish: Wish = { blksize: flags.blksize, windowsize: flags.windowsize, tsize: flags.tsize };
  checkLength(uri.filename, mode, wish);
  const outputFile = outputName(flags, uri.filename);
  const fail = (why: string): ExitCode => {
    stderr.write(`reveille: ${escapeText(text)}: ${why}\n`);
    return EXIT.failed;
  };

  const abort = new AbortController();
  let interrupted: string | undefined;
  interrupts.on('signal', (signal) => {
    interrupted ??= `stopped by ${signal}`;
    abort.abort();
  });
  interrupts.on('fault', (error) => {
    interrupted ??= `failed: ${escapeText(errorLine(error))}`;
    abort.abort();
  });

  let address: string;
  try {
    ({ address } = await lookup(uri.host));
  } catch (error) {
    return fail(`cannot resolve ${uri.host}: ${errorCode(error) ?? errorLine(error)}`);
  }
  if (interrupted !== undefined) return fail(interrupted);
  let output: OutputFile;
  try {
    output = OutputFile.open(outputFile);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    return fail(`cannot write: ${escapeText(errorLine(error))}`);
  }

  const showsBar = stderr.isTTY === true && flags.quiet !== true;
  const bar = showsBar ? new ProgressBar(stderr, escapeText(uri.filename, 40), performance.now()) : undefined;
  try {
    let unwritten: string | undefined;
    const result = await fetchFile({
      server: { address, port: uri.port },
      filename: uri.filename,
      mode,
      wish,
      sink: {
        // A full disk ends the download in an orderly way: the packet loop that calls this must not see an exception.
        write(bytes) {
          if (unwritten !== undefined) return;
          try {
            output.write(bytes);
          } catch (error) {
            unwritten = `cannot write: ${escapeText(errorLine(error))}`;
            abort.abort();
          }
        },
      },
      ...(bar === undefined
        ? {}
        : { onProgress: (bytes: number, total: number | undefined) => bar.update(bytes, total, performance.now()) }),
      signal: abort.signal,
    });
    bar?.finish(result.bytes, result.tsize, performance.now());
    const why = unwritten ?? interrupted ?? failureOf(result, mode);
    if (why !== undefined) return fail(why);
    output.finish();
    return EXIT.fine;
  } catch (error) {
    return fail(escapeText(errorLine(error)));
  } finally {
    output.discard();
  }
}

/** Adds the command. @param done receives its exit code. */
export function addGet(program: Command, context: CommandContext, done: (code: ExitCode) => void): void {
  const blksize = wholeNumber(MIN_BLKSIZE, MAX_BLKSIZE);
  const windowsize = wholeNumber(1, MAX_WINDOWSIZE);
  program
    .command('get')
    .summary('download a file over TFTP')
    .description(
      'Downloads one file. Without flags, the request has no options (plain RFC 1350): blocks of 512 bytes, one at a time.',
    )
    .argument('<URL>', 'tftp://HOST[:PORT]/NAME, optionally followed by ;mode=octet or ;mode=netascii')
    .option('-o, --output <FILE>', 'file to write to, - for stdout (default: the last part of NAME)')
    .option('--blksize <N>', `bytes per block to ask for, ${blksize.expected}`, flag('--blksize', blksize))
    .option(
      '--windowsize <N>',
      `blocks per acknowledgement to ask for, ${windowsize.expected} (RFC 7440)`,
      flag('--windowsize', windowsize),
    )
    .option('--tsize', 'ask for the size (tsize), to show how much is left')
    .option('--netascii', 'convert line endings (RFC 1350 netascii)')
    .option('--quiet', 'show no progress bar')
    .addHelpText(
      'after',
      `
The bytes are written to FILE.part until the download is complete. The progress bar is shown if stderr is a terminal.
Exit codes: 0 downloaded; 1 failed or stopped by a signal, no file is left behind; 2 wrong usage.
`,
    )
    .action(async (url: string, flags: GetFlags) => {
      done(await runGet(url, flags, context));
    });
}
