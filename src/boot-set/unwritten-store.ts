/**
 * A store on a disk that can't be written to, as a server uses it: read like any other, while pins are kept in memory and
 * uses of versions are not noted. Nobody can collect versions on that disk; who can where it may be written (another
 * machine that exports it) knows nothing of this server's boots.
 */
import { MemoryPins, type PinStore } from './boot/pin-store.ts';
import type { BootSetsOptions } from './boot-set-parts.ts';
import type { Table, Tables } from './store/state.ts';
import type { Store } from './store/store.ts';

function unwritten<V>(table: Table<V>): Table<V> {
  return {
    get: (key) => table.get(key),
    entries: () => table.entries(),
    keys: () => table.keys(),
    put: () => {},
    remove: () => {},
  };
}

/** The pins begin with those that the store has. */
export function unwrittenStore(store: Store): { readonly store: BootSetsOptions['store']; readonly pins: PinStore } {
  const notes = (): Tables => ({ ...store.tables, useNotes: unwritten(store.tables.useNotes) });
  return {
    store: {
      get generation() {
        return store.generation;
      },
      get tables() {
        return store.tables;
      },
      channels: () => store.channels(),
      pins: () => store.pins(),
      blobPath: (digest) => store.blobPath(digest),
      note: (work) => Promise.resolve().then(() => work(notes())),
    },
    pins: new MemoryPins((name) => store.tables.versions.get(name) !== undefined, store.pins()),
  };
}
