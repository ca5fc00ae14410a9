/** Waits until all bytes of a content have arrived. */
import type { Supply } from './types.ts';

/** Resolves with true once all bytes have arrived, with false when they never will. A ring is never whole. */
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
