/**
 * The reason why a node did not boot, as far as this server can see it: what was seen last, where that points, and
 * what it usually means. Rules over one boot; pure. States only what was seen, and marks what it usually means as such.
 */
import { formatBytes, formatMany } from '../text/figures.ts';
import { UNREADABLE_CONTENT } from '../engine/report.ts';
import { FAULTS } from '../server/records.ts';
import { STUCK_MS, type TransferView } from '../server/types.ts';
import { UNPROVEN_MS } from '../session/sender-limits.ts';
import type { Ask } from './ask.ts';
import { isReplaced, isWell, isWhole, movedAt } from './boots.ts';
import { about, isMissing, kindOfFile, nodeErrorWords, refusalWords } from '../live/words.ts';
import type { Area, NodeState, Verdict } from '../live/wire.ts';
import { causeOverHttp, closed, type Found, onlyHead, takesNothing } from './http-diagnosis.ts';
import { UNANSWERED, unansweredOver, unansweredWords } from './unanswered.ts';

/**
 * A transfer without progress for this long is worth a look: longer than any client waits before it repeats a lost
 * packet for the second time.
 */
export const SILENT_MS = 3000;
/** After a refusal a loader tries its next name at once; after this silence it has stopped. */
export const STOPPED_MS = 10_000;
/** After a file a loader reads the next one sooner than this, or it boots. */
const DONE_MS = 15_000;

/** Facts about a transfer under way. */
export type Moving = Pick<
  TransferView,
  'state' | 'size' | 'bytes' | 'retransmits' | 'silentMs' | 'blksize' | 'windowsize' | 'sinceMs'
>;

export interface Circumstances {
  readonly now: number;
  /** The transfer of this boot that is under way; undefined: there is none. */
  readonly moving: Moving | undefined;
  /** Number of boots directly before that came no further. */
  readonly alike: number;
}

const LOST_ANSWER =
  'The request arrived, so DHCP and the path to the server work. Either a firewall or NAT on the path back drops the replies, because they come from a port other than 69; or the node got the reply and was reset just then.';

const GONE =
  'The node was switched off, was reset or hangs, or its link went down. If its neighbors stopped as well, check the switch that they share; otherwise check the console of this node.';

/** @returns the state of the last transfer or request of a boot. */
export function stateOf(boot: readonly Ask[], { now, moving }: Pick<Circumstances, 'now' | 'moving'>): NodeState {
  if (moving !== undefined && moving.state !== 'ended') {
    if (moving.state === 'resolving' || moving.state === 'queued') return 'waiting';
    // All blocks are sent, and many loaders end without acknowledging the last one.
    const mayBeOver = moving.state === 'lastBlockSent' && moving.bytes >= moving.size - moving.blksize;
    if (!mayBeOver && moving.silentMs >= STUCK_MS) return 'stuck';
    if (!mayBeOver && moving.silentMs >= SILENT_MS) return 'silent';
    return moving.state === 'unproven' ? 'opening' : 'loading';
  }
  const last = lastThatCounts(boot);
  if (last === undefined) return 'done';
  const silence = now - last.lastAt;
  if (last.end === undefined) return 'between';
  if (isWell(last)) return silence < DONE_MS ? 'between' : 'done';
  if (last.end.kind === 'refused' || last.end.kind === 'unanswered')
    return silence < STOPPED_MS ? 'between' : 'stopped';
  return 'failed';
}

/** @returns the last request that its client did not abandon for another. */
function lastThatCounts(boot: readonly Ask[]): Ask | undefined {
  return boot.findLast((ask) => !isReplaced(ask)) ?? boot.at(-1);
}

/** @returns the verdict on a boot. @param boot requests in the order asked, not empty. */
export function diagnose(boot: readonly Ask[], circumstances: Circumstances): Verdict {
  const last = lastThatCounts(boot)!;
  const state = stateOf(boot, circumstances);
  const { moving, alike } = circumstances;
  const found =
    moving !== undefined && moving.state !== 'ended'
      ? whileMoving(boot, last, moving, state)
      : afterwards(boot, last, state);
  const again = alike === 0 ? '' : ` It has tried ${formatMany(alike, 'time')} before, and got no further then either.`;
  return { state, area: found.area, headline: found.headline, meaning: `${mixed(boot)}${found.meaning}${again}` };
}

/** @returns the verdict on a node of which nothing is known. */
export function neverHeard(asked: string): Verdict {
  return {
    state: 'done',
    area: 'requests',
    headline: `No request from ${asked} is remembered.`,
    meaning:
      'If it was switched on, it got no address, or DHCP named another server or no file, or the path to the port of the server is blocked (UDP 69 for TFTP). First look for its MAC in the DHCP log, then check whether its requests reach the server (for TFTP: tcpdump -ni any udp port 69). The server also forgets a node when it is restarted, or when many other nodes have asked since.',
  };
}

function percentOf({ bytes, size }: Pick<Moving, 'bytes' | 'size'>): string {
  return size === 0 ? '0 %' : `${Math.floor((bytes / size) * 100)} %`;
}

function whileMoving(boot: readonly Ask[], ask: Ask, moving: Moving, state: NodeState): Found {
  const { file } = ask;
  const silence = about(moving.silentMs);
  if (state === 'waiting') {
    return moving.state === 'resolving'
      ? {
          area: 'files',
          headline: `${file} has been looked up or rendered for ${about(moving.sinceMs)}.`,
          meaning:
            moving.sinceMs < 1000
              ? 'Nothing is wrong so far.'
              : `A template, a handler, an upstream or a disk is slow. ${ask.protocol === 'http' ? 'After 3 s the node gets a 503.' : 'Loaders ask again after a fraction of a second, and some give up after a few seconds.'}`,
        }
      : {
          area: 'server',
          headline: `${file} has been waiting for a free session for ${about(moving.sinceMs)}.`,
          meaning: 'The maximum number of transfers is running (sessions). The node asks again meanwhile.',
        };
  }
  if (state === 'opening') {
    return {
      area: 'nodes',
      headline: `The first reply for ${file} has been sent.`,
      meaning: 'Nothing is wrong so far.',
    };
  }
  if (state === 'loading') {
    return {
      area: 'nodes',
      headline: `It is loading ${file}: ${percentOf(moving)}${moving.size > 0 ? ` of ${formatBytes(moving.size)}` : ''}.`,
      meaning:
        moving.retransmits > 0
          ? `The transfer makes progress; ${formatMany(moving.retransmits, 'packet')} had to be retransmitted.`
          : 'Nothing is wrong so far.',
    };
  }
  if (moving.state === 'unproven') {
    return {
      area: 'network',
      headline: `For ${silence} there has been no sign that the first reply for ${file} arrived${repeated(ask)}.`,
      meaning: LOST_ANSWER,
    };
  }
  if (moving.bytes === 0 && ask.protocol === 'http')
    return takesNothing(`For ${silence} it has taken no part of ${file}.`);
  if (moving.bytes === 0) return firstBlockLost(boot, file, silence, moving.blksize);
  return {
    area: 'nodes',
    headline: `It went silent ${silence} ago at ${percentOf(moving)} of ${file}.`,
    meaning: GONE,
  };
}

function repeated({ repeats }: Ask): string {
  return repeats === 0 ? '' : `, though it asked ${formatMany(repeats + 1, 'time')}`;
}

/** The client acknowledged the OACK, but no ACK of the first block came. */
function firstBlockLost(boot: readonly Ask[], file: string, silence: string, blksize: number): Found {
  const seen = `It acknowledged the options for ${file}, but has acknowledged no block for ${silence}.`;
  // A block that has got through before is not too large for the path.
  const hasPassed = boot.some((ask) => isWhole(ask) && ask.started!.size >= blksize && ask.started!.blksize >= blksize);
  return hasPassed
    ? {
        area: 'nodes',
        headline: seen,
        meaning: `Blocks of that size have reached it before, so the path works. ${GONE}`,
      }
    : {
        area: 'network',
        headline: seen,
        meaning: `If other nodes stop in the same way, small packets get through and blocks of ${blksize} bytes do not: check the MTU of the switches, tunnels and bridges on the path, or set maxBlksize. When the node asks again, it is granted smaller blocks. If it is the only one, it was switched off or reset just then.`,
      };
}

function afterwards(boot: readonly Ask[], last: Ask, state: NodeState): Found {
  const { end, file } = last;
  if (end === undefined || end.kind === 'replaced' || isReplaced(last)) {
    return { area: 'nodes', headline: `It asked for ${file}.`, meaning: 'Nothing more is known yet.' };
  }
  if (end.kind === 'refused') return refused(boot, last, state);
  if (end.kind === 'unanswered') {
    const { area, meaning } = unansweredOver(last.protocol, end.reason);
    return { area, headline: `Its request for ${file} was ${unansweredWords(last.protocol, end.reason)}.`, meaning };
  }
  if (end.outcome === 'probe' && last.protocol === 'http') return onlyHead(last.file, state);
  if (end.outcome === 'probe') {
    return {
      area: 'nodes',
      headline: `It asked for the size of ${file} and ${state === 'between' ? 'has yet to ask for the file' : 'never asked for the file'}.`,
      meaning:
        state === 'between'
          ? 'Firmware asks for the size first; nothing is wrong so far.'
          : 'Firmware asks for the size first. The node stopped before it asked for the file: it has too little memory for a file of that size, or somebody interrupted it at its keyboard.',
    };
  }
  if (isWhole(last)) return wellEnded(boot, last, state);
  return badlyEnded(boot, last, end.outcome);
}

function refused(boot: readonly Ask[], last: Ask, state: NodeState): Found {
  const end = last.end as Extract<Ask['end'], { kind: 'refused' }>;
  if (!isMissing(end.code)) {
    return {
      area: 'files',
      headline: `${last.file} was refused: ${refusalWords(end.code, end.reason)}.`,
      meaning: 'A rule or a file of this server is the cause: `reveille explain` shows which one, and why.',
    };
  }
  const goesOn = state === 'between';
  const since = boot.length - 1 - boot.findLastIndex((ask) => isWell(ask));
  const tried =
    since > 1
      ? `None of the last ${since} names that it tried exists; the last one was ${last.file}`
      : `${last.file} does not exist here`;
  return {
    area: 'files',
    headline: goesOn ? `${tried}.` : `${tried}, and it asked for nothing after that.`,
    meaning: goesOn
      ? 'Loaders try many names in turn: nothing is wrong so far.'
      : 'Compare the name with the files that are served, including upper and lower case, and find out where the node has it from: DHCP (filename), or the config of the previous loader. `reveille explain NAME --ip ADDRESS` shows where the server looks for it.',
  };
}

/** The likely cause when a node has received a file of a kind and asks for nothing more. */
const NEXT: Readonly<Record<ReturnType<typeof kindOfFile>, readonly [area: Area | 'after', meaning: string]>> = {
  loader: [
    'nodes',
    'The loader did not start, or does not look for its config here: wrong architecture (BIOS or UEFI), a signature that Secure Boot rejects, or a loader that was built to look elsewhere. The console of the node says which.',
  ],
  config: [
    'files',
    'The config may intend this (local disk, a menu that waits for a key, files from another server). If not, it names nothing that the loader could fetch: `reveille render` shows what the node got.',
  ],
  kernel: [
    'after',
    'If an initrd should follow, the config does not name it. Otherwise this server has done its part: check the console of the node and the kernel arguments.',
  ],
  initrd: [
    'after',
    'This server has done its part. If the node did not come up, check its console and the kernel arguments (console=, root=, the URL of the installer).',
  ],
  module: [
    'after',
    'The last file was a part of a loader: the node waits at a menu, or continued without this server.',
  ],
  file: ['after', 'This server has done its part. If the node did not come up, check its console.'],
};

function wellEnded(boot: readonly Ask[], last: Ask, state: NodeState): Found {
  const files = boot.filter(isWhole).length;
  const { bytes } = last.end as Extract<Ask['end'], { kind: 'sent' }>;
  const { size = 0 } = last.started ?? {};
  // Over HTTP a client may resume, or read a part.
  const how = bytes < size ? `was sent in part (${formatBytes(bytes)} of ${formatBytes(size)})` : 'was sent completely';
  const got = `${last.file}${files > 1 ? `, the last of ${formatMany(files, 'file')},` : ''} ${how}`;
  if (state === 'between') {
    return {
      area: 'nodes',
      headline: `${got} a moment ago.`,
      meaning: 'It is about to ask for the next one, or to boot.',
    };
  }
  const kind = kindOfFile(last.file);
  // A loader's modules say little about how far it is; the files before them do.
  const telling =
    kind === 'module' && boot.some((ask) => isWhole(ask) && kindOfFile(ask.file) === 'initrd') ? 'initrd' : kind;
  const [area, meaning] = NEXT[telling];
  return { area, headline: `${got}, and it asked for nothing after that.`, meaning };
}

function badlyEnded(boot: readonly Ask[], last: Ask, outcome: string): Found {
  const end = last.end as Extract<Ask['end'], { kind: 'sent' }>;
  const { size = 0, blksize = 512 } = last.started ?? {};
  const { file } = last;
  const how = size === 0 ? '' : ` after ${formatBytes(end.bytes)} of ${formatBytes(size)}`;
  const silence = about(Math.max(0, last.lastAt - movedAt(last)));
  if (last.protocol === 'http' && outcome === 'clientError') return closed(file, how);
  if (outcome === 'clientError') {
    const said = end.errorText === '' ? '' : ` (“${end.errorText}”)`;
    return {
      area: 'nodes',
      headline: `It gave up on ${file}${how}, with error ${end.errorCode ?? 0}${said}.`,
      meaning:
        end.errorCode === 3
          ? 'It has no room for the file: it has too little memory, or the initrd grew.'
          : `The error means: ${nodeErrorWords(end.errorCode)}. The console of the node says more.`,
    };
  }
  if (outcome === 'unreachable') {
    return {
      area: 'nodes',
      headline: `It closed its port in the middle of ${file}${how}.`,
      meaning: 'The loader ended or the node was reset. The network works, so the cause is in the node.',
    };
  }
  if (outcome === 'aborted') {
    const [area, meaning] = (last.protocol === 'http' ? causeOverHttp(end.fault) : undefined) ?? causeOf(end);
    return {
      area,
      headline: `The server ended ${file}${how}${end.fault === undefined ? '' : `: ${end.fault}`}.`,
      meaning,
    };
  }
  if (end.bytes === 0 && last.protocol === 'http') return takesNothing(`It took no part of ${file}.`);
  if (end.bytes === 0) {
    // A transfer whose first reply is never acknowledged ends sooner than one that stalls after it.
    const wasAcknowledged = last.options !== '' && last.lastAt - last.askedAt > 1.2 * UNPROVEN_MS;
    if (wasAcknowledged) return firstBlockLost(boot, file, silence, blksize);
    return {
      area: 'network',
      headline: `There was no sign that the first reply for ${file} arrived${repeated(last)}.`,
      meaning: LOST_ANSWER,
    };
  }
  return {
    area: 'nodes',
    headline: `It went silent${how} of ${file}.`,
    meaning: GONE,
  };
}

/** Returns the area and the cause of a transfer that the server ended. */
function causeOf({ fault, bytes }: Extract<Ask['end'], { kind: 'sent' }>): readonly [area: Area, meaning: string] {
  switch (fault) {
    case FAULTS.changed:
      return [
        'files',
        'Something wrote to the file while the server read it, so nodes might have got a mixture. Replace a file by a rename (mv) instead of writing into it. A node that asks again gets the file as it is now.',
      ];
    case FAULTS.unreadable:
      return [
        'files',
        'The disk or the file system reported an error in the middle of the file. The log says which (“a file could not be read to its end”).',
      ];
    case UNREADABLE_CONTENT:
      return [
        'files',
        'The file was truncated while it was sent, or its disk reported an error. With the setting immutable, files must be replaced by a rename (mv) and never written into.',
      ];
    case FAULTS.givenUp:
      return ['network', `${LOST_ANSWER} ${UNANSWERED.unanswered.meaning}`];
    case undefined:
      return [
        'server',
        bytes === 0
          ? 'The server was being stopped, or the node had not answered while other requests waited (sessions).'
          : 'The server was being stopped, or the transfer was slower than minRate while other requests waited.',
      ];
    default:
      return ['server', 'This is a bug in the server. The log has it as well, in the line of this transfer.'];
  }
}

/** Warns of a boot that got several versions of one channel. */
function mixed(boot: readonly Ask[]): string {
  const versions = new Map<string, Set<string>>();
  for (const { started } of boot) {
    if (started === undefined || started.version === '') continue;
    versions.set(started.channel, (versions.get(started.channel) ?? new Set()).add(started.version));
  }
  const both = [...versions.values()].find((names) => names.size > 1);
  return both === undefined
    ? ''
    : `It got files of ${[...both].join(' and ')} in one boot: kernel and initrd may not match. `;
}
