/**
 * The report of a storm: the shape of its JSON. Names carry units; a value that could not be known is null. Pure data:
 * made by aggregate.ts, shown by report-table.ts and report-html.ts.
 */

import type { Machine } from './machine.ts';
import type { LeftUnanswered } from './unanswered.ts';

export const REPORT_SCHEMA = 'reveille-storm/1';

export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

export interface StageReport {
  readonly name: string;
  readonly profile: string;
  /** The protocol; `mixed` where nodes of several profiles speak different ones. */
  readonly via: 'tftp' | 'http' | 'mixed';
  /** Nodes that completed this stage, and nodes that failed in it. */
  readonly completed: number;
  readonly failed: number;
  /** Files read to the end, and names answered with "not found". */
  readonly files: number;
  readonly misses: number;
  readonly bytes: number;
  /** Time from the first send of a request to its first reply; null when nothing was answered. */
  readonly first_reply_ms: Percentiles | null;
  /** Time from a stage's first request to its end, without think time. */
  readonly duration_ms: Percentiles | null;
  readonly retransmits: { readonly client: number; readonly server: number };
}

/** A rule that the server broke. */
export interface Violation {
  /** A short name that does not change between versions: `tid-changed`. */
  readonly id: string;
  /** One sentence that says what was seen. */
  readonly what: string;
  /** The clause that was broken: `RFC 1350 §4`. */
  readonly clause: string;
  readonly count: number;
  /** The first occurrence: node, stage, file. */
  readonly example: string;
}

export interface Failure {
  /** The reason in plain words: `no answer to the request within 15.8 s`. */
  readonly reason: string;
  readonly stage: string;
  readonly nodes: number;
  readonly example: string;
}

/** Totals in equal steps of time from the start of the storm. */
export interface Curve {
  readonly step_s: number;
  /** Nodes that have booted by the end of each step. */
  readonly completed: readonly number[];
  /** Nodes that have failed by the end of each step. */
  readonly failed: readonly number[];
  /** Payload bytes received in each step. */
  readonly bytes: readonly number[];
}

/** `counts[i]` values lie in [edges[i], edges[i + 1]). */
export interface Histogram {
  readonly edges: readonly number[];
  readonly counts: readonly number[];
}

export interface HarnessReport {
  /** CPU time of the storm's own process, all threads. */
  readonly cpu_s: number;
  /** Share of its time that the busiest thread worked, 0..1. */
  readonly busiest_thread: number;
  readonly event_loop_delay_ms: Percentiles;
  /**
   * Datagrams lost in the storm's own receive buffers, plus datagrams it could not send; null where the engine can't
   * know.
   */
  readonly drops: number | null;
  /** True when the storm itself held the server back, so that the figures say less about the server. */
  readonly bottleneck: boolean;
  /** Reasons for `bottleneck`, in sentences; empty when it is false. */
  readonly reasons: readonly string[];
  readonly threads: number;
  readonly engine: 'linux' | 'portable' | 'memory';
}

export interface SloCheck {
  /** The objective as it was written: `finish.p99<60s`. */
  readonly expression: string;
  /** The measured value in the expression's unit; null when there was none, which counts as a miss. */
  readonly actual: number | null;
  readonly met: boolean;
}

/** Faults that the storm injected on purpose. */
export interface InjectedFaults {
  readonly lost: number;
  /** DATA packets on their way to a node; `lost` includes them. */
  readonly lost_data: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly delayed: number;
  readonly vanished_nodes: number;
}

export interface StormReport {
  readonly schema: typeof REPORT_SCHEMA;
  /** Start of the storm, ISO 8601. */
  readonly started_at: string;
  /** Address of the server: `127.0.0.1:6969`, `[::1]:69`. */
  readonly server: string;
  /** Address of the HTTP server; null when no stage was fetched over HTTP. */
  readonly http: string | null;
  readonly seed: number;
  readonly plan: { readonly name: string; readonly stages: readonly string[]; readonly profiles: readonly string[] };
  readonly arrival: string;
  readonly nodes: number;
  readonly completed: number;
  readonly failed: number;
  /** Nodes that had not finished when the storm was stopped; neither `completed` nor `failed` counts them. */
  readonly unfinished: number;
  /** Files whose bytes were not those expected; null when there was nothing to compare with. */
  readonly wrong_bytes: number | null;
  /** Files that were read while no content was given to compare them with; null when no file had any. */
  readonly files_not_compared: number | null;
  /** Nodes whose files are not all of one version; null when no versions were given. */
  readonly mixed_versions: number | null;
  readonly bytes: number;
  /** DATA packets that reached a node's transfer, copies included. */
  readonly data_packets: number;
  readonly duration_s: number;
  readonly first_reply_ms: Percentiles | null;
  /** Time from the moment when a node was due to its last byte. */
  readonly finish_s: Percentiles | null;
  readonly retransmits: { readonly client: number; readonly server: number };
  /** Requests, repeated ones included, without an answer by the time their node asked again or gave up. */
  readonly unanswered_requests: number;
  /** The server's own account of them; null when the server was not asked. */
  readonly left_unanswered: LeftUnanswered | null;
  /** Transfers in which a second server port answered the same request. */
  readonly duplicate_tids: number;
  readonly injected: InjectedFaults;
  readonly stages: readonly StageReport[];
  readonly violations: readonly Violation[];
  readonly failures: readonly Failure[];
  readonly curve: Curve;
  readonly histograms: { readonly first_reply_ms: Histogram; readonly finish_s: Histogram };
  readonly harness: HarnessReport;
  readonly slo: { readonly met: boolean; readonly checks: readonly SloCheck[] };
  readonly machine: Machine;
  readonly version: string;
}

/** Progress of a running storm, for a live view. */
export interface StormProgress {
  readonly elapsedMs: number;
  readonly nodes: number;
  /** Nodes that have not begun. With `inStage`, `completed`, `failed` and the vanished nodes they add up to `nodes`. */
  readonly waiting: number;
  readonly inStage: readonly { readonly name: string; readonly nodes: number }[];
  readonly completed: number;
  readonly failed: number;
  readonly bytes: number;
  /** Bytes that all nodes together fetch if none fails, where that is known. */
  readonly bytesInAll?: number | undefined;
  /** Payload bytes per second over about the last second. */
  readonly bytesPerS: number;
  readonly retransmits: { readonly client: number; readonly server: number };
}
