/** Waiting for a content of which all is wanted before anything is done with it. */
import type { Supply } from './types.ts';

/** Resolves with true when all of it has come, with false when it won't. A ring is never whole. */
export function whenWhole(supply: Supply | undefined): Promise<boolean> {
  if (supply === undefined) return Promise.resolve(true);
  return new Promise((resolve) => {
    const look = (): void => {
      if (!supply.isWhole && supply.failure === undefined && supply.ringBytes === 0) return;
      unwatch();
      resolve(supply.isWhole);
    };
    const unwatch = supply.watch(look);
    supply.acknowledge(0);
    look();
  });
}
