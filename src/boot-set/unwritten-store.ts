/**
 * Adapts a store on a read-only disk for a server: it is read as usual, pins are kept in memory and uses of versions
 * are not noted. Nothing can collect versions through this disk; a collector on a machine that has it writable knows
 * nothing of this server's boots.
 */
import { MemoryPins, type PinStore } from './boot/pin-store.ts';
import type { BootSetsOptions } from './boot-set-parts.ts';
import type { Table, Tables } from './store/state.ts';
import type { Store } from './store/store.ts';

/** Returns tables that read the current records and ignore writes. */
function unwritten(tables: Tables): Tables {
  const still = <V>(table: Table<V>): Table<V> => ({
    get: (key) => table.get(key),
    entries: () => table.entries(),
    keys: () => table.keys(),
    put: () => {},
    remove: () => {},
  });
  return Object.fromEntries(
    Object.entries(tables).map(([name, table]) => [name, still(table as Table<unknown>)]),
  ) as never;
}

/** Returns a store that ignores notes. */
export function forgetfulStore(store: BootSetsOptions['store']): BootSetsOptions['store'] {
  return {
    get generation() {
      return store.generation;
    },
    get tables() {
      return store.tables;
    },
    channels: () => store.channels(),
    pins: () => store.pins(),
    blobPath: (digest) => store.blobPath(digest),
    note: async (work) => work(unwritten(store.tables)),
  };
}

/** Returns a forgetful store with pins in memory, initialized from those in the store. */
export function unwrittenStore(store: Store): { readonly store: BootSetsOptions['store']; readonly pins: PinStore } {
  return {
    store: forgetfulStore(store),
    pins: new MemoryPins((name) => store.tables.versions.get(name) !== undefined, store.pins()),
  };
}
