/**
 * The report of a storm: the shape of its JSON. Names carry units; what could not be known is null. Pure data: made by
 * aggregate.ts, shown by report-table.ts and report-html.ts.
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
  /** Nodes that got through this stage, and that failed in it. */
  readonly completed: number;
  readonly failed: number;
  /** Files read to the end, and names answered with "not found". */
  readonly files: number;
  readonly misses: number;
  readonly bytes: number;
  /** From the first send of a request to its first answer; null when nothing was answered. */
  readonly first_reply_ms: Percentiles | null;
  /** From a stage's first request to its end, think time not counted. */
  readonly duration_ms: Percentiles | null;
  readonly retransmits: { readonly client: number; readonly server: number };
}

/** A rule that the server broke. */
export interface Violation {
  /** Short and stable: `tid-changed`. */
  readonly id: string;
  /** One sentence: what was seen. */
  readonly what: string;
  /** `RFC 1350 §4`. */
  readonly clause: string;
  readonly count: number;
  /** Where it was seen first: node, stage, file. */
  readonly example: string;
}

export interface Failure {
  /** In plain words: `no answer to the request within 15.8 s`. */
  readonly reason: string;
  readonly stage: string;
  readonly nodes: number;
  readonly example: string;
}

/** Equal steps of time from the storm's start. */
export interface Curve {
  readonly step_s: number;
  /** Nodes booted until the end of each step. */
  readonly completed: readonly number[];
  /** Nodes that have failed until then. */
  readonly failed: readonly number[];
  /** Payload bytes received in each step. */
  readonly bytes: readonly number[];
}

/** counts[i] values lie in [edges[i], edges[i + 1]). */
export interface Histogram {
  readonly edges: readonly number[];
  readonly counts: readonly number[];
}

export interface HarnessReport {
  /** CPU of the storm's own process, all threads. */
  readonly cpu_s: number;
  /** The busiest thread's share of time spent working, 0..1. */
  readonly busiest_thread: number;
  readonly event_loop_delay_ms: Percentiles;
  /** Datagrams lost in the storm's own receive buffers, and that it could not send; null where the engine can't know. */
  readonly drops: number | null;
  /** Whether the storm itself held the server back, so that figures say less about it. */
  readonly bottleneck: boolean;
  /** Why it says so, in sentences; empty when it does not. */
  readonly reasons: readonly string[];
  readonly threads: number;
  readonly engine: 'linux' | 'portable' | 'memory';
}

export interface SloCheck {
  /** As it was written: `finish.p99<60s`. */
  readonly expression: string;
  /** What it was compared with, in the expression's unit; null when there was nothing to compare, which is a miss. */
  readonly actual: number | null;
  readonly met: boolean;
}

/** What the storm did to packets on purpose. */
export interface InjectedFaults {
  readonly lost: number;
  /** Of these, DATA on its way to a node. */
  readonly lost_data: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly delayed: number;
  readonly vanished_nodes: number;
}

export interface StormReport {
  readonly schema: typeof REPORT_SCHEMA;
  /** ISO 8601. */
  readonly started_at: string;
  /** `127.0.0.1:6969`, `[::1]:69`. */
  readonly server: string;
  readonly seed: number;
  readonly plan: { readonly name: string; readonly stages: readonly string[]; readonly profiles: readonly string[] };
  readonly arrival: string;
  readonly nodes: number;
  readonly completed: number;
  readonly failed: number;
  /** Nodes that had not finished when the storm was stopped, counted in neither. */
  readonly unfinished: number;
  /** Files whose bytes were not those expected; null when there was nothing to compare with. */
  readonly wrong_bytes: number | null;
  /** Files that were read and that had nothing to be compared with, among others that had; null when none had. */
  readonly files_not_compared: number | null;
  /** Nodes whose files are not all of one version; null when versions were not given. */
  readonly mixed_versions: number | null;
  readonly bytes: number;
  /** DATA packets that reached a transfer of a node, copies included. */
  readonly data_packets: number;
  readonly duration_s: number;
  readonly first_reply_ms: Percentiles | null;
  /** From the moment a node was due to its last byte. */
  readonly finish_s: Percentiles | null;
  readonly retransmits: { readonly client: number; readonly server: number };
  /** Requests, repeated ones included, that nobody had answered when their node asked again or gave up. */
  readonly unanswered_requests: number;
  /** What the server says of those; null when it was not asked. */
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

/** How it goes, for a live view. */
export interface StormProgress {
  readonly elapsedMs: number;
  readonly nodes: number;
  /** Nodes that have not begun; with those in each stage, those that ended and those that vanished they make `nodes`. */
  readonly waiting: number;
  readonly inStage: readonly { readonly name: string; readonly nodes: number }[];
  readonly completed: number;
  readonly failed: number;
  readonly bytes: number;
  /** What all nodes together fetch if none fails, where that is known. */
  readonly bytesInAll?: number | undefined;
  /** Payload bytes per second over the last second or so. */
  readonly bytesPerS: number;
  readonly retransmits: { readonly client: number; readonly server: number };
}
