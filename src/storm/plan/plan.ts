/**
 * The steps of a node from power-on to the end of its boot. Read from YAML by read-plan.ts, or made from --file flags.
 */
import type { Profile } from './profile.ts';

/** A span of time in milliseconds; both ends are equal for a fixed time. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Stage {
  /** The stage's name in reports: `loader`, `config`, `kernel`. */
  readonly name: string;
  readonly profile: Profile;
  /** Names requested in turn until one exists; templates, see variables.ts. At least one. */
  readonly search: readonly string[];
  /** True when the node boots on even if none of the names exists. */
  readonly optional: boolean;
  /** Number of times the file found is fetched in all, 1 or more: GRUB reads its config twice. */
  readonly repeat: number;
  /** Number of blocks after which the node closes the file with the profile's ERROR; undefined: it reads to the end. */
  readonly closeAfterBlocks?: number;
  /** Wait before the first request of the stage; chosen for each node by the storm's seed. */
  readonly think: Span;
  /** Expected length in bytes, where the plan gives it. */
  readonly size?: number;
  /** Expected SHA-256 in hex, where the plan gives it. */
  readonly sha256?: string;
}

export interface BootPlan {
  readonly name: string;
  /** The stages in order; at least one. */
  readonly stages: readonly Stage[];
}
