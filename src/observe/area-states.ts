/**
 * The five areas where a boot can go wrong, each with its state and a sentence. Rules over the figures of the last
 * minute and over the verdicts of the nodes in trouble; pure.
 */
import { formatCount, formatMany, formatShare } from '../text/figures.ts';
import type { Counts } from './time-series.ts';
import { about, ago } from '../live/words.ts';
import type { Area, AreaReport, AreaState } from '../live/wire.ts';

/** PXELINUX, the most impatient loader, asks again after this time. */
const PATIENCE_OF_LOADERS_MS = 110;
/** Shares of DATA packets sent again: above the first boots get slow, above the second they fail. */
const LOSSY = 0.01;
const VERY_LOSSY = 0.05;
/** Time for which the death of the server before is reported. */
const DEATH_SHOWN_MS = 60_000;
/** Fewer packets than this make no reliable share. */
const ENOUGH_PACKETS = 200;
/** Silence after which requests count as missing, not as a pause between two boots. */
const QUIET_MS = 60_000;

export interface AreaFigures {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly ready: boolean;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** How the server before this one died; undefined: it did not. */
  readonly deathBefore: string | undefined;
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
      'The server is starting or stopping, and leaves requests unanswered.',
    );
  }
  if (minute.receiveDrops > 0) {
    return report(
      'requests',
      'bad',
      `${formatMany(minute.receiveDrops, 'packet')} dropped on arrival`,
      'Receive buffers overflow: raise net.core.rmem_max and restart the server. Nodes ask again after their timeout.',
    );
  }
  if (lastRequestAt === null) {
    return report('requests', 'quiet', 'none so far', 'No request has arrived since the start.');
  }
  const silence = now - lastRequestAt;
  if (silence > QUIET_MS) {
    return report(
      'requests',
      'quiet',
      `none for ${about(silence)}`,
      'No requests arrive. If nodes are being switched on, they do not find this server: check DHCP, then the path to the ports that it listens on (UDP 69 for TFTP).',
    );
  }
  const rate =
    requestsPerS >= 1
      ? `${formatCount(requestsPerS)} per second`
      : `${formatCount(minute.requests)} in the last minute`;
  return report('requests', 'fine', rate, 'Nodes have an address and find this server.');
}

/** Says what became of the transfers of threads that were lost. */
function fateOf({ transfersResumed, transfersLost }: AreaFigures['minute']): string {
  const lost = transfersLost === 0 ? '' : ` ${formatMany(transfersLost, 'transfer')} ended as aborted.`;
  return `Another thread went on with ${formatMany(transfersResumed, 'transfer')} over TFTP.${lost}`;
}

function server({ now, startedAt, deathBefore, minute, queued, firstReplyP99 }: AreaFigures): AreaReport {
  if (deathBefore !== undefined && now - startedAt < DEATH_SHOWN_MS) {
    return report(
      'server',
      'bad',
      `died ${ago(now - startedAt)}`,
      `The server before this one died (${deathBefore}). This one has taken its ports and goes on with its transfers; the log says with how many, and how many it had to end.`,
    );
  }
  if (minute.threadsLost > 0) {
    return report(
      'server',
      'bad',
      `${formatMany(minute.threadsLost, 'thread')} lost`,
      `A thread that sends died, and a new one has replaced it. ${fateOf(minute)} The log says why it died.`,
    );
  }
  if (minute.overload > 0) {
    return report(
      'server',
      'bad',
      `${formatMany(minute.overload, 'request')} left unanswered`,
      'More nodes ask than the server has sessions for: raise `sessions`, or switch racks on one after the other.',
    );
  }
  if (minute.sendDrops > 0) {
    return report(
      'server',
      'watch',
      `${formatMany(minute.sendDrops, 'packet')} not sent`,
      'The kernel did not accept them, because the link is too slow for the load. They are retransmitted.',
    );
  }
  if (firstReplyP99 !== null && firstReplyP99 > PATIENCE_OF_LOADERS_MS) {
    return report(
      'server',
      'watch',
      `first replies take ${about(firstReplyP99)}`,
      'One request in a hundred waits longer than the quickest loader, which then asks again. The usual causes are templates, upstreams or a cold disk.',
    );
  }
  if (queued > 0) {
    return report(
      'server',
      'watch',
      `${formatCount(queued)} waiting`,
      'All sessions are in use. Small files go first.',
    );
  }
  return report(
    'server',
    firstReplyP99 === null ? 'quiet' : 'fine',
    firstReplyP99 === null ? 'idle' : `answers in ${about(firstReplyP99)}`,
    firstReplyP99 === null
      ? 'No request was answered in the last minute.'
      : 'Time to first reply for 99 of 100 requests of the last minute.',
  );
}

function network({ minute, trouble }: AreaFigures): AreaReport {
  if (trouble.network > 0) {
    return report(
      'network',
      'bad',
      `${formatMany(trouble.network, 'node')} unreachable`,
      'Their requests arrive, but the replies do not reach them: a firewall or NAT without TFTP support drops them, or they are too large for the path.',
    );
  }
  if (minute.dataSent < ENOUGH_PACKETS) {
    return report('network', 'quiet', 'too few packets', 'Too few packets were sent in the last minute.');
  }
  const share = minute.retransmits / minute.dataSent;
  const headline = `${formatShare(minute.retransmits, minute.dataSent)} retransmitted`;
  if (share >= VERY_LOSSY) {
    return report(
      'network',
      'bad',
      headline,
      'The path loses packets. If one rack is affected, check its switch or cable; if all are, check the link of the server.',
    );
  }
  if (share >= LOSSY) {
    return report(
      'network',
      'watch',
      headline,
      'Some packets are lost: boots are slower, but do not get stuck. Look for a link that is full or badly negotiated.',
    );
  }
  return report('network', 'fine', headline, 'Share of the DATA packets of the last minute; below 1 % is normal.');
}

function files({ minute, trouble, worstFile }: AreaFigures): AreaReport {
  if (minute.unreadable > 0) {
    return report(
      'files',
      'bad',
      `${formatMany(minute.unreadable, 'request')} for unavailable files`,
      'They could not be read, or there was not enough memory for them. The log says which, and why.',
    );
  }
  if (worstFile !== undefined && worstFile.stopped > 0) {
    return report(
      'files',
      'bad',
      `${formatMany(worstFile.stopped, 'node')} stopped at one file`,
      `${worstFile.file}: ${worstFile.what}.`,
    );
  }
  if (trouble.files > 0) {
    return report('files', 'watch', `${formatMany(trouble.files, 'node')} stopped`, 'Check the last request of each.');
  }
  return report('files', 'fine', 'none missing', 'No node has stopped at a file that is missing or refused.');
}

function nodes({ trouble, booting }: AreaFigures): AreaReport {
  const bad = trouble.nodes + trouble.server;
  if (bad > 0) {
    return report(
      'nodes',
      'bad',
      `${formatMany(bad, 'node')} stuck or given up`,
      'They are listed first below, each with what the server saw.',
    );
  }
  if (booting === 0) return report('nodes', 'quiet', 'none booting', 'No transfer is under way.');
  return report('nodes', 'fine', `${formatCount(booting)} booting, none stuck`, 'Every transfer makes progress.');
}

/** @returns the reports in the order in which a boot meets the areas. */
export function areaReports(figures: AreaFigures): AreaReport[] {
  return [requests(figures), server(figures), network(figures), files(figures), nodes(figures)];
}
