/**
 * A store on a disk that can't be written to, as a server uses it: read like any other, while pins are kept in memory and
 * uses of versions are not noted. Nobody can collect versions on that disk; who can where it may be written (another
 * machine that exports it) knows nothing of this server's boots.
 */
import { MemoryPins, type PinStore } from './boot/pin-store.ts';
import type { BootSetsOptions } from './boot-set-parts.ts';
import type { Table, Tables } from './store/state.ts';
import type { Store } from './store/store.ts';

/** The tables as they are now; what is put into them is forgotten. */
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

/** A store that takes notes and forgets them. */
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

/** The pins begin with those that the store has. */
export function unwrittenStore(store: Store): { readonly store: BootSetsOptions['store']; readonly pins: PinStore } {
  return {
    store: forgetfulStore(store),
    pins: new MemoryPins((name) => store.tables.versions.get(name) !== undefined, store.pins()),
  };
}
