/** The survey before the checks: the server replies, what it offers, and what its files hold. */
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { Address } from '../engine/types.ts';
import { CheckContext, type CheckContextOptions, isServed, type Offers } from './check-context.ts';
import type { OfferedFile } from './files.ts';
import { describe, error, granted, printable, request } from './packets.ts';
import { Transfer } from './transfer.ts';
import { isVerdict } from './verdict.ts';

/** Most bytes read of a file without a local copy. Room for three wraps in blocks of 8 bytes. */
const MAX_SURVEYED_BYTES = 8 * 1024 * 1024;
/** How long to wait for the report of a closed port, ms. */
const KNOCK_MS = 500;

/** A file as the operator named it, with the facts from its local copy. */
export interface WantedFile {
  readonly name: string;
  readonly size?: number;
  /** The content of the copy, or the beginning of it. */
  readonly bytes?: Buffer;
}

export interface Surveyed {
  readonly files: readonly OfferedFile[];
  readonly offers: Offers;
}

type SurveyOptions = Omit<CheckContextOptions, 'files' | 'offers'>;

const NOTHING: Offers = { blksize: false, tsize: false, timeout: false, windowsize: false, netascii: false };

/**
 * Tells whether the host reports that the port is closed. Only a connected socket gets that report. Sends an ERROR,
 * which no server answers and which opens no transfer.
 */
function isRefused({ address, port }: Address): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    const end = (refused: boolean): void => {
      clearTimeout(timer);
      socket.removeAllListeners('error');
      socket.on('error', () => {});
      socket.close();
      resolve(refused);
    };
    const timer = setTimeout(end, KNOCK_MS, false);
    socket.on('error', (failure: NodeJS.ErrnoException) => end(failure.code === 'ECONNREFUSED'));
    socket.connect(port, address, () => socket.send(error(0, 'Is anybody there?')));
  });
}

/** @returns why the server can't be asked, or undefined when it replies. */
async function reach(options: SurveyOptions, name: string): Promise<string | undefined> {
  const { server, waits, signal } = options;
  const hasty = new CheckContext({
    ...options,
    files: [],
    offers: NOTHING,
    waits: { ...waits, replyMs: KNOCK_MS, replySends: 1 },
  });
  const patient = new CheckContext({ ...options, files: [], offers: NOTHING });
  try {
    const exchange = await hasty.exchange();
    if ((await exchange.ask(request(name))) !== undefined) return undefined;
    if (exchange.sendFailure !== undefined) return `cannot be sent to: ${exchange.sendFailure.code}`;
    if (await isRefused(server)) return 'nobody listens on that port';
    signal.throwIfAborted();
    return (await patient.reply(request(name))) === undefined ? 'no answer' : undefined;
  } finally {
    await hasty.close();
    await patient.close();
  }
}

async function offersOf(context: CheckContext): Promise<Offers> {
  const grants = async (name: string, value: string): Promise<boolean> =>
    (await context.grant(name, value)) !== undefined;
  const [blksize, tsize, timeout, windowsize] = await Promise.all([
    grants('blksize', '1024'),
    grants('tsize', '0'),
    grants('timeout', '3'),
    grants('windowsize', '4'),
  ]);
  const netascii = isServed(await context.read([], context.file.name, 'netascii'));
  return { blksize, tsize, timeout, windowsize, netascii };
}

/** Reads a file without a local copy. @returns the reason if it can't be read. */
async function readFile(context: CheckContext, wanted: WantedFile): Promise<OfferedFile | string> {
  const { offers } = context;
  const file: OfferedFile = { name: wanted.name, size: undefined, bytes: Buffer.alloc(0) };
  const parts: Buffer[] = [];
  const transfer = await Transfer.begin(context, {
    file,
    options: [
      ...(offers.blksize ? ([['blksize', '1428']] as const) : []),
      ...(offers.tsize ? ([['tsize', '0']] as const) : []),
    ],
    keep: (payload) => parts.push(payload),
  });
  if (isVerdict(transfer)) return transfer.detail;
  const wrong = await transfer.take(Math.ceil(MAX_SURVEYED_BYTES / transfer.blksize));
  if (wrong !== undefined) return wrong.detail;
  if (transfer.over) await transfer.acknowledge();
  const announced = Number(granted(transfer.first, 'tsize') ?? Number.NaN);
  const size = transfer.over ? transfer.bytes : Number.isInteger(announced) ? announced : undefined;
  return { name: wanted.name, size, bytes: Buffer.concat(parts) };
}

async function look(context: CheckContext, wanted: WantedFile): Promise<OfferedFile | string> {
  const name = printable(wanted.name);
  const reply = await context.read([], wanted.name);
  if (reply?.kind === 'ERROR') return `the server does not give the file "${name}": ${describe(reply)}`;
  if (wanted.size !== undefined && wanted.bytes !== undefined) {
    return { name: wanted.name, size: wanted.size, bytes: wanted.bytes };
  }
  const file = await readFile(context, wanted);
  return typeof file === 'string' ? `the file "${name}" cannot be read: ${file}` : file;
}

/** @returns the reason if nothing can be checked, as a sentence without its server. */
export async function survey(options: SurveyOptions, wanted: readonly WantedFile[]): Promise<Surveyed | string> {
  const unreachable = await reach(options, wanted[0]!.name);
  if (unreachable !== undefined) return unreachable;
  const placeholders = wanted.map(({ name }): OfferedFile => ({ name, size: undefined, bytes: Buffer.alloc(0) }));
  const blind = new CheckContext({ ...options, files: placeholders, offers: NOTHING });
  try {
    const offers = await offersOf(blind);
    const context = new CheckContext({ ...options, files: placeholders, offers });
    try {
      const files: OfferedFile[] = [];
      for (const file of wanted) {
        const found = await look(context, file);
        if (typeof found === 'string') return found;
        files.push(found);
      }
      return { files, offers };
    } finally {
      await context.close();
    }
  } finally {
    await blind.close();
  }
}
