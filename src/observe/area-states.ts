/**
 * The five areas where a boot can go wrong, each with its state and a sentence. Rules over the figures of the last
 * minute and over the verdicts of the nodes in trouble; pure.
 */
import { formatCount, formatMany, formatShare } from '../text/figures.ts';
import type { Counts } from './time-series.ts';
import { about } from '../live/words.ts';
import type { Area, AreaReport, AreaState } from '../live/wire.ts';

/** PXELINUX, the most impatient loader, asks again after this time. */
const PATIENCE_OF_LOADERS_MS = 110;
/** Shares of DATA packets sent again: above the first boots get slow, above the second they fail. */
const LOSSY = 0.01;
const VERY_LOSSY = 0.05;
/** Fewer packets than this make no reliable share. */
const ENOUGH_PACKETS = 200;
/** Silence after which requests count as missing, not as a pause between two boots. */
const QUIET_MS = 60_000;

export interface AreaFigures {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly ready: boolean;
  /** Milliseconds since the epoch; null: none since the start. */
  readonly lastRequestAt: number | null;
  readonly requestsPerS: number;
  readonly minute: Counts;
  readonly firstReplyP99: number | null;
  readonly active: number;
  readonly queued: number;
  /** Number of nodes with a transfer. */
  readonly booting: number;
  /** Number of nodes in trouble, by the area that their verdict points to. */
  readonly trouble: Readonly<Record<Area | 'after', number>>;
  /** The file at which most nodes stopped. */
  readonly worstFile: { readonly file: string; readonly what: string; readonly stopped: number } | undefined;
}

function report(area: Area, state: AreaState, headline: string, detail: string): AreaReport {
  return { area, state, headline, detail };
}

function requests({ now, ready, lastRequestAt, requestsPerS, minute }: AreaFigures): AreaReport {
  if (!ready) {
    return report(
      'requests',
      'bad',
      'not listening',
      'The server is starting or stopping: requests are left unanswered.',
    );
  }
  if (minute.receiveDrops > 0) {
    return report(
      'requests',
      'bad',
      `${formatMany(minute.receiveDrops, 'packet')} dropped on arrival`,
      'Receive buffers overflow: raise net.core.rmem_max and restart. Nodes ask again, later.',
    );
  }
  if (lastRequestAt === null) {
    return report('requests', 'quiet', 'none so far', 'No node has asked since the start.');
  }
  const silence = now - lastRequestAt;
  if (silence > QUIET_MS) {
    return report(
      'requests',
      'quiet',
      `none for ${about(silence)}`,
      'Nobody asks. If nodes are being switched on all the same, they do not find this server: look at DHCP, then at UDP port 69.',
    );
  }
  const rate =
    requestsPerS >= 1 ? `${formatCount(requestsPerS)} a second` : `${formatCount(minute.requests)} in a minute`;
  return report('requests', 'fine', rate, 'Nodes have an address and find this server.');
}

function server({ minute, queued, firstReplyP99 }: AreaFigures): AreaReport {
  if (minute.workersLost > 0) {
    return report(
      'server',
      'bad',
      `${formatMany(minute.workersLost, 'worker')} lost`,
      'A thread died and took its transfers along; another has its place. The log says why.',
    );
  }
  if (minute.overload > 0) {
    return report(
      'server',
      'bad',
      `${formatMany(minute.overload, 'request')} given up waiting`,
      'More nodes ask than there are sessions: raise `sessions`, or switch racks on one after the other.',
    );
  }
  if (minute.sendDrops > 0) {
    return report(
      'server',
      'watch',
      `${formatMany(minute.sendDrops, 'packet')} not sent`,
      'The kernel would not take them: a link slower than what is asked of it. They are sent again.',
    );
  }
  if (firstReplyP99 !== null && firstReplyP99 > PATIENCE_OF_LOADERS_MS) {
    return report(
      'server',
      'watch',
      `first replies take ${about(firstReplyP99)}`,
      'One in a hundred waits longer than the quickest loader does before it asks again. Templates, upstreams or a cold disk are the usual reasons.',
    );
  }
  if (queued > 0) {
    return report('server', 'watch', `${formatCount(queued)} waiting`, 'All sessions are taken; small files go first.');
  }
  return report(
    'server',
    firstReplyP99 === null ? 'quiet' : 'fine',
    firstReplyP99 === null ? 'idle' : `answers in ${about(firstReplyP99)}`,
    firstReplyP99 === null
      ? 'Nothing was asked of it in the last minute.'
      : 'Time to first reply, 99 of 100 requests of the last minute.',
  );
}

function network({ minute, trouble }: AreaFigures): AreaReport {
  if (trouble.network > 0) {
    return report(
      'network',
      'bad',
      `${formatMany(trouble.network, 'node')} out of reach`,
      'Their requests arrive, our answers don’t: a firewall or NAT that does not know TFTP, or packets too large for the way.',
    );
  }
  if (minute.dataSent < ENOUGH_PACKETS) {
    return report('network', 'quiet', 'too little to tell', 'Hardly a packet was sent in the last minute.');
  }
  const share = minute.retransmits / minute.dataSent;
  const headline = `${formatShare(minute.retransmits, minute.dataSent)} sent again`;
  if (share >= VERY_LOSSY) {
    return report(
      'network',
      'bad',
      headline,
      'Packets are lost on the way. One rack: its switch or cable. All of them: this machine’s link.',
    );
  }
  if (share >= LOSSY) {
    return report(
      'network',
      'watch',
      headline,
      'Some loss: boots get slower, not stuck. Look for a link that is full or negotiated badly.',
    );
  }
  return report(
    'network',
    'fine',
    headline,
    'Packets of the last minute; below one in a hundred is nothing to look at.',
  );
}

function files({ minute, trouble, worstFile }: AreaFigures): AreaReport {
  if (minute.unreadable > 0) {
    return report(
      'files',
      'bad',
      `${formatMany(minute.unreadable, 'request')} for files that could not be read`,
      'Or for more memory than there is. The log says which and why.',
    );
  }
  if (worstFile !== undefined && worstFile.stopped > 0) {
    return report(
      'files',
      'bad',
      `${formatMany(worstFile.stopped, 'node')} stopped at one`,
      `${worstFile.file}: ${worstFile.what}.`,
    );
  }
  if (trouble.files > 0) {
    return report('files', 'watch', `${formatMany(trouble.files, 'node')} stopped`, 'See what they asked for last.');
  }
  return report('files', 'fine', 'nothing missed', 'No node has stopped at a file that is missing or refused.');
}

function nodes({ trouble, booting }: AreaFigures): AreaReport {
  const bad = trouble.nodes + trouble.server;
  if (bad > 0) {
    return report(
      'nodes',
      'bad',
      `${formatMany(bad, 'node')} stuck or given up`,
      'They are listed first below, each with what was seen of it.',
    );
  }
  if (booting === 0) return report('nodes', 'quiet', 'none is booting', 'No transfer is under way.');
  return report('nodes', 'fine', `${formatCount(booting)} booting, none stuck`, 'Every transfer moves.');
}

/** @returns the reports in the order in which a boot meets the areas. */
export function areaReports(figures: AreaFigures): AreaReport[] {
  return [requests(figures), server(figures), network(figures), files(figures), nodes(figures)];
}
