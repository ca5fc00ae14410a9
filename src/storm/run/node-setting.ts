/**
 * The context of a simulated node: the settings shared by the nodes of its thread, its identity, its observer, and the
 * ways in which its boot can end.
 */
import type { Driver } from '../../engine/driver.ts';
import type { TransferReport } from '../../engine/report.ts';
import type { Address } from '../../engine/types.ts';
import type { Expectation } from './expected.ts';
import type { HttpWire } from './http-connection.ts';
import type { NodeFate } from '../plan/fault-plan.ts';
import type { BootPlan, Stage } from '../plan/plan.ts';
import type { Profile } from '../plan/profile.ts';
import type { Random } from '../plan/random.ts';
import type { Variables } from '../plan/variables.ts';
import type { ViolationId } from '../violations.ts';

/** The file of a stage that a node is about to fetch. */
export interface Fetch {
  readonly stage: Stage;
  /** The stage's place in the plan. */
  readonly index: number;
  /** The requested name. */
  readonly name: string;
  /** Node, stage and name, for messages. */
  readonly where: string;
}

/** Settings shared by the nodes of a thread. */
export interface NodeSetting {
  readonly driver: Driver;
  readonly server: Address;
  /** The thread's HTTP connections. */
  readonly wire: HttpWire;
  readonly plan: BootPlan;
  readonly expectation: Expectation | undefined;
  /** True: each longer transfer sends one ACK twice, to test the server's reaction. */
  readonly doubledAcks: boolean;
  /** Milliseconds of a monotonic clock, with fractions. */
  readonly time: () => number;
  /** Resolves after `ms` milliseconds, or at once when the storm is being stopped. */
  readonly pause: (ms: number) => Promise<void>;
  readonly stopping: () => boolean;
  readonly tell: NodeObserver;
}

/** Payload bytes of a request, and packets or requests that the node sent again. */
export type TransferCounts = Pick<TransferReport, 'bytes' | 'retransmits'>;

/** Receives the events of a thread's nodes as they happen. */
export interface NodeObserver {
  stage(node: number, stage: number): void;
  bytes(count: number): void;
  /** A request got its first reply. */
  firstReply(stage: number, ms: number): void;
  /** The server sent `count` packets again. */
  copies(stage: number, count: number): void;
  /**
   * A request has ended.
   *
   * @param unheard sends of the request that got no answer in time.
   */
  transfer(stage: number, counts: TransferCounts, end: 'file' | 'miss' | 'other', unheard: number): void;
  /** A stage has ended well. @param ms time since its first request. */
  stageDone(stage: number, ms: number): void;
  violation(id: ViolationId, example: string): void;
  wrongFile(example: string): void;
  /** A file was read that could not be compared with anything. */
  uncompared(): void;
  /** Called once, when no version matches all the files that the node has received. */
  mixed(example: string): void;
}

export interface NodeIdentity {
  readonly number: number;
  /** The address from which the node sends, and whether its socket is shared with others. */
  readonly local: string;
  readonly shared: boolean;
  readonly variables: Variables;
  readonly fate: NodeFate;
  /** The node's firmware in all stages, instead of the plan's; undefined to use the plan's. */
  readonly profile: Profile | undefined;
  readonly random: Random;
}

export type NodeEnd =
  | { readonly kind: 'completed' | 'vanished' | 'unfinished' }
  | { readonly kind: 'failed'; readonly stage: number; readonly reason: string; readonly silence?: Silence };

/** Silence of the server in mid-transfer, from this moment in milliseconds of `time` until the node gave up. */
export interface Silence {
  readonly from: number;
  readonly example: string;
}

/** Formats a patience for the reason of a failure: `15.8 s`. */
export function inSeconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}
