/** A pin in a server's memory, with the transfers under it. Knows no table. */
import type { PinRecord } from '../store/records.ts';

/** A pin and the transfers under it. */
export class Pin {
  /** Its times are those of SteadyTime. */
  record: PinRecord;
  /** The record most recently handed to the store. */
  saved: PinRecord;
  /** The same record as stored: its times are wall-clock times. */
  stored: PinRecord;
  /** Number of open transfers to the node from the pinned version. */
  open = 0;
  /** True when the node has since begun a boot with a file outside this channel. */
  over = false;
  /** Value of the table's generation when this pin was last compared with the store. */
  generation: number;
  /** Pending while a reply must wait for the write; resolves to the fate of the pin. See PinStore.getOrCreate. */
  committed: Promise<'stands' | 'gone' | 'taken'> | undefined;

  constructor(record: PinRecord, stored: PinRecord, generation: number) {
    this.record = record;
    this.saved = record;
    this.stored = stored;
    this.generation = generation;
  }
}
