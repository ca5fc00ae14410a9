/** What admission is given. */
import type { LauncherOptions } from './launcher.ts';
import type { Resolver } from './resolver.ts';
import type { ServerObserver } from './types.ts';

export interface AdmissionOptions extends LauncherOptions {
  readonly resolver: Resolver;
  readonly observer: ServerObserver;
  /** Whether an address may ask at all. */
  readonly mayAsk: (address: string) => boolean;
  /** Whether an address stands for many nodes, behind NAT: then it has no limit of its own. */
  readonly isShared: (address: string) => boolean;
}
