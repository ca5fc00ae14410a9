/** Parameters of admission. */
import type { LauncherOptions } from './launcher.ts';
import type { Resolver } from './resolver.ts';
import type { ServerObserver } from './types.ts';

export interface AdmissionOptions extends LauncherOptions {
  readonly resolver: Resolver;
  readonly observer: ServerObserver;
  /** Tells whether an address may send requests at all. */
  readonly mayAsk: (address: string) => boolean;
  /** Tells whether an address stands for many nodes behind NAT: it then has no limit of its own. */
  readonly isShared: (address: string) => boolean;
}
