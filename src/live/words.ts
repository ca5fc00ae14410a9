/**
 * Plain words for the states of nodes, the same on the page, in a terminal and in a report; and the order in which
 * nodes are listed. Pure text: runs in a browser as well.
 */
import { formatBytes, formatCount, formatMany, formatMs, formatRate } from '../text/figures.ts';
import {
  type Area,
  type AreaState,
  type Ask,
  type ChannelRow,
  type FileKind,
  type LiveSnapshot,
  NODE_STATES,
  type NodeRow,
  type NodeState,
  type Protocol,
} from './wire.ts';

const STATE_WORDS: Readonly<Record<NodeState, string>> = {
  stuck: 'stuck',
  failed: 'gave up',
  stopped: 'stopped asking',
  silent: 'silent',
  waiting: 'waiting',
  opening: 'first reply sent',
  loading: 'loading',
  between: 'between files',
  done: 'all sent',
};

export function stateWords(state: NodeState): string {
  return STATE_WORDS[state];
}

/** How far a server's clock is from that of Redis: `+12 ms`, `0 ms`, `-3.0 s`. */
export function skewText(ms: number): string {
  return `${ms > 0 ? '+' : ms < 0 ? '-' : ''}${formatMs(Math.abs(ms))}`;
}

export const AREA_WORDS: Readonly<Record<Area | 'after', string>> = {
  requests: 'DHCP and the path here',
  server: 'This server',
  network: 'The network',
  files: 'The files',
  nodes: 'The nodes',
  after: 'After this server',
};

export const AREA_MARKS: Readonly<Record<AreaState, readonly [mark: string, word: string]>> = {
  fine: ['✓', 'fine'],
  quiet: ['–', 'no data'],
  watch: ['!', 'worth a look'],
  bad: ['!', 'trouble'],
};

/** The first pattern that fits decides. Names of loaders come before names that a kernel may have as well. */
const KINDS: readonly (readonly [FileKind, RegExp])[] = [
  [
    'config',
    /(?:^|\/)(?:grub\.cfg[^/]*|extlinux\.conf|syslinux\.cfg|config\.txt|cmdline\.txt|bcd|[^/]*\.(?:ipxe|cfg|ks|preseed|ya?ml))$|(?:^|\/)pxelinux\.cfg\/[^/]*$/i,
  ],
  [
    'loader',
    /(?:^|\/)(?:(?:shim|grub|boot|ipxe|snp|syslinux|systemd-boot|undionly)[^/]*\.(?:efi|kpxe|pxe)|(?!\d)[^/]*\.0|[^/]*\.k{0,2}pxe|core\.0|bootcode\.bin|start[^/]*\.elf|wdsnbp\.com|bootmgr[^/]*)$/i,
  ],
  ['initrd', /(?:initrd|initramfs|rootfs|squashfs|\.(?:cpio|img|wim))[^/]*$/i],
  ['module', /\.(?:mod|lst|c32|pf2|png|jpg|tga|mo|sig|dtb|dtbo|ttf|sdi|dat)$/i],
  ['kernel', /(?:^|\/)(?:vmlinu[xz]|bzimage|linux|kernel|image|xen|wimboot|memdisk|memtest|nbi)[^/]*$/i],
];

export function kindOfFile(file: string): FileKind {
  return KINDS.find(([, pattern]) => pattern.test(file))?.[0] ?? 'file';
}

/** Over HTTP, some outcomes mean something else. */
const HTTP_OUTCOME_WORDS: Readonly<Record<string, string>> = {
  probe: 'answered without its bytes (HEAD, or the node has a current copy)',
  clientError: 'the node closed the connection',
  timeout: 'the node took no more bytes',
};

const OUTCOME_WORDS: Readonly<Record<string, string>> = {
  complete: 'sent completely',
  completeUnconfirmed: 'sent completely, the last block unconfirmed',
  probe: 'only the size was asked for',
  clientError: 'the node gave up',
  timeout: 'the node went silent',
  unreachable: 'the node closed its port',
  aborted: 'ended by the server',
  refused: 'refused by the node',
};

export function outcomeWords(outcome: string, protocol: Protocol): string {
  return (protocol === 'http' ? HTTP_OUTCOME_WORDS[outcome] : undefined) ?? OUTCOME_WORDS[outcome] ?? outcome;
}

/** Usual meanings of the error codes that nodes send. */
const NODE_ERRORS: readonly string[] = [
  'no defined reason',
  'it could not find something',
  'it is not allowed to store the file',
  'it has no room for the file: out of memory',
  'it did not understand a packet of the server',
  'it did not recognize the port of the server',
  'it already has that file',
  'it knows no such user',
  'it did not accept the options of the server',
];

export function nodeErrorWords(code: number | undefined): string {
  return NODE_ERRORS[code ?? 0] ?? `error ${code}`;
}

/** @param code TFTP error code, or status of HTTP; no status is as small as a code. */
export function isMissing(code: number): boolean {
  return code === 1 || code === 404;
}

/**
 * @returns why a request was answered with an error. @param code see isMissing. @param reason the server's reason.
 */
export function refusalWords(code: number, reason: string): string {
  if (code === 400) return 'the request has no valid path';
  if (code === 405) return 'only GET and HEAD are allowed; this server is read-only';
  if (isMissing(code)) return 'no such file';
  if (code === 4) return 'the transfer mode is not supported';
  if (code === 0) return `not served: ${reason}`;
  return reason === 'write request' ? 'the node tried to upload; this server is read-only' : `not allowed: ${reason}`;
}

/** @returns the bytes that were sent: over HTTP a client may ask for a part of a file. */
function sentBytes({ bytes, size }: Ask): string {
  return bytes < size ? `${formatBytes(bytes)} of ${formatBytes(size)}` : formatBytes(size);
}

/** Formats a time as people say it: `7 ms`, `1.4 s`, `37 s`, `2 min 05 s`. */
export function about(ms: number): string {
  if (ms < 1) return 'less than 1 ms';
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 119_500 ? `${Math.round(ms / 1000)} s` : formatMs(ms);
}

export function ago(ms: number): string {
  return ms < 5000 ? 'just now' : `${about(ms)} ago`;
}

/** Formats a time since the beginning of a boot: `+0.0 s`, `+12.4 s`, `+2 min 05 s`. */
export function offset(ms: number): string {
  return ms < 60_000 ? `+${(ms / 1000).toFixed(1)} s` : `+${formatMs(ms)}`;
}

/** @returns what is known about a request and its answer, without the outcome: one short text for each fact. */
export function factsOf(step: Ask): string[] {
  const rate = step.answer === 'sent' && step.tookMs >= 50 ? ` (${formatRate((step.bytes / step.tookMs) * 1000)})` : '';
  return [
    step.answer === 'sending' && step.size > 0 ? `${formatBytes(step.bytes)} of ${formatBytes(step.size)}` : '',
    step.answer === 'sent' ? `${sentBytes(step)} in ${about(Math.max(1, step.tookMs))}${rate}` : '',
    step.answer === 'failed' && step.size > 0
      ? `${formatBytes(step.bytes)} of ${formatBytes(step.size)} ${step.protocol === 'http' ? 'sent' : 'arrived'}`
      : '',
    step.protocol === 'http' ? 'HTTP' : '',
    step.version === '' ? '' : `version ${step.version}`,
    step.origin === 'rendered' ? 'rendered for this node' : '',
    step.repeats > 0 ? `asked ${formatMany(step.repeats + 1, 'time')}` : '',
    step.retransmits > 0 ? `${formatMany(step.retransmits, 'packet')} retransmitted` : '',
    step.firstReplyMs !== null && step.firstReplyMs >= 100 ? `first reply after ${about(step.firstReplyMs)}` : '',
    step.options,
  ].filter((text) => text !== '');
}

/** @returns one sentence on the current state. @param now milliseconds since the epoch. */
export function headlineOf({ figures, server }: Pick<LiveSnapshot, 'figures' | 'server'>, now: number): string {
  const { booting, trouble, lastRequestAt } = figures;
  if (!server.ready) return 'The server is not answering requests';
  if (booting > 0) {
    const look = trouble === 0 ? 'none stuck' : `${formatCount(trouble)} ${trouble === 1 ? 'needs' : 'need'} a look`;
    return `${formatMany(booting, 'node')} booting, ${look}`;
  }
  if (trouble > 0)
    return `Nothing is booting; ${formatMany(trouble, 'node')} ${trouble === 1 ? 'needs' : 'need'} a look`;
  return lastRequestAt === null
    ? 'All quiet: no node has asked yet'
    : `All quiet. Last request ${ago(now - lastRequestAt)}`;
}

const FIRST_UNDER_WAY = NODE_STATES.indexOf('waiting');

/** All states of a boot under way share one rank, so that no tile moves back and forth between two files. */
const RANK = new Map(
  NODE_STATES.map((state, rank) => [state, rank < FIRST_UNDER_WAY || state === 'done' ? rank : FIRST_UNDER_WAY]),
);

/** Compares addresses by their numbers, and names by the numbers in them. */
export function compareNames(a: string, b: string): number {
  return COLLATOR.compare(a, b);
}

const COLLATOR = new Intl.Collator('en', { numeric: true });

/**
 * Stuck nodes come first; within a state the longest silence comes first where it is trouble, otherwise names decide.
 */
export function compareRows(a: NodeRow, b: NodeRow): number {
  const byState = RANK.get(a.state)! - RANK.get(b.state)!;
  if (byState !== 0) return byState;
  const bySilence = a.why === '' ? 0 : b.silent - a.silent;
  return bySilence === 0 ? compareNames(a.name, b.name) : bySilence;
}

/** Says how a channel stands to the registry that it follows. */
export function registryWords(registry: ChannelRow['registry']): string {
  if (registry === undefined) return '';
  const { isBehind, failure } = registry;
  if (failure !== null) return `fails: ${failure}`;
  return isBehind ? 'a new version is on its way' : 'followed';
}
