/** What a node does from power-on to the end of its boot. Read from YAML by read-plan.ts, or made from --file flags. */
import type { Profile } from './profile.ts';

/** A span of time in milliseconds; both ends equal for a fixed one. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Stage {
  /** `loader`, `config`, `kernel`: what reports call it. */
  readonly name: string;
  readonly profile: Profile;
  /** Names asked for in turn until one is there; templates, see variables.ts. At least one. */
  readonly search: readonly string[];
  /** Whether the node boots on when none of them is there. */
  readonly optional: boolean;
  /** How often the file that was found is fetched in all, 1 or more: GRUB reads its config twice. */
  readonly repeat: number;
  /** Closes the file after so many blocks, with the profile's ERROR; undefined: reads it to the end. */
  readonly closeAfterBlocks?: number;
  /** Before the first request of the stage; chosen for each node by the storm's seed. */
  readonly think: Span;
  /** Bytes that the file must have, where the plan says so. */
  readonly size?: number;
  /** Its digest in hex, where the plan says so. */
  readonly sha256?: string;
}

export interface BootPlan {
  readonly name: string;
  /** In order; at least one. */
  readonly stages: readonly Stage[];
}
