/**
 * Previews what a request would get from a store, and why, without changing it: runs the real source on a store that
 * ignores writes and on pins in memory. Knows no packets.
 */
import type { Answer, BootRequest } from '../content/types.ts';
import { textPath } from '../content/name.ts';
import { BootSets, type BootSetsOptions } from './boot-sets.ts';
import { Catalog } from './store/catalog.ts';
import { MemoryPins, isSamePin, type PinStore } from './boot/pin-store.ts';
import { type NodeId, NOWHERE } from './node/node-identity.ts';
import { type PinRecord, pinKey, versionName } from './store/records.ts';
import type { Tables } from './store/state.ts';
import { forgetfulStore } from './unwritten-store.ts';

/** Why a request gets its version. */
export type VersionReason =
  /** The name contains the version. */
  | 'explicit'
  /** The node began its boot with this version. */
  | 'pinned'
  /** A new boot of a node for which an operator has chosen the version. */
  | 'by hand'
  /** A new boot of a node that is part of a rollout. */
  | 'rollout'
  /** A new boot, which gets the channel's current version. */
  | 'current'
  /** The address is in a shared network, where boots can't be told apart. */
  | 'shared network';

/** The result of a preview, step by step. */
export interface BootSetWay {
  readonly answer: Answer;
  /** Channel or version that the name refers to; undefined when the name is not one of the store's. */
  readonly asked: { readonly by: 'channel' | 'version'; readonly channel?: string; readonly file: string } | undefined;
  /** `CHANNEL-NUMBER`. */
  readonly version: string | undefined;
  readonly reason: VersionReason | undefined;
  /** The pin after the request. */
  readonly pin: PinRecord | undefined;
  readonly file:
    | { readonly name: string; readonly size: number; readonly digest: string; readonly blob: string }
    | undefined;
}

/** Pins in memory that also record which pins were written or renewed. */
class NotedPins implements PinStore {
  readonly used: PinRecord[] = [];
  readonly #pins: MemoryPins;

  constructor(pins: Iterable<PinRecord>, exists: (version: string) => boolean) {
    this.#pins = new MemoryPins(exists, pins);
  }

  getOrCreate(wanted: PinRecord, before: PinRecord | undefined): ReturnType<PinStore['getOrCreate']> {
    this.used.push(wanted);
    return this.#pins.getOrCreate(wanted, before);
  }

  renew(pins: readonly PinRecord[]): Promise<void> {
    this.used.push(...pins);
    return this.#pins.renew(pins);
  }

  drop(pins: readonly PinRecord[]): Promise<void> {
    return this.#pins.drop(pins);
  }

  scan(): Iterable<PinRecord> {
    return this.#pins.scan();
  }

  get(node: string, channel: string): PinRecord | undefined {
    return this.#pins.get(node, channel);
  }
}

export interface RehearsalOptions extends Omit<BootSetsOptions, 'pins' | 'prefetchBytes'> {
  /** Pins at the start of the rehearsal. */
  readonly known: Iterable<PinRecord>;
  /** The node at an address, for names that do not identify it. */
  readonly client?: { readonly address: string; readonly ids: readonly NodeId[] } | undefined;
}

/** A source that gives what the real one would give at this moment, and writes nothing. */
export class Rehearsal {
  readonly sets: BootSets;
  readonly #store: BootSetsOptions['store'];
  readonly #catalog: Catalog;
  readonly #pins: NotedPins;
  readonly #before: readonly PinRecord[];
  readonly #at: number;
  readonly #address: string | undefined;

  private constructor(options: RehearsalOptions) {
    const { known, now = Date.now } = options;
    const store = forgetfulStore(options.store);
    this.#store = store;
    this.#before = [...known];
    this.#pins = new NotedPins(this.#before, (version) => store.tables.versions.get(version) !== undefined);
    this.#catalog = new Catalog(store);
    this.#catalog.refresh();
    this.#at = now();
    this.#address = options.client === undefined ? undefined : whereabouts(options.client, this.#before);
    // The clock stands still, so that pins used by the rehearsal are recognized by their time.
    const { clock } = options;
    const still = { now: () => 0, wake: (at: number, fn: () => void) => clock.wake(clock.now() + at, fn) };
    const times = { clock: still, now: () => this.#at, uptime: () => undefined };
    this.sets = new BootSets({ ...options, store, pins: this.#pins, ...times });
  }

  static async begin(options: RehearsalOptions): Promise<Rehearsal> {
    const rehearsal = new Rehearsal(options);
    const { client } = options;
    if (client !== undefined && client.ids.length > 0) {
      // Like every source, this one learns from names who asks. The name resolves to nothing and its stage is neutral.
      const of = (kind: string): string | undefined =>
        client.ids.find((id) => id.startsWith(`${kind}:`))?.slice(kind.length + 1);
      const name = [of('serial'), of('mac'), of('uuid'), 'who.lst'].filter((part) => part !== undefined).join('/');
      await rehearsal.sets.open({ filename: name, mode: 'octet', client: rehearsal.#address!, local: '' });
    }
    return rehearsal;
  }

  /** Runs one request and closes the rehearsal. The caller must release the answer's content. */
  async open(request: BootRequest): Promise<BootSetWay> {
    const catalog = this.#catalog;
    const path = textPath(request.filename);
    const asked = typeof path === 'string' ? catalog.resolve(path) : undefined;
    let answer: Answer;
    try {
      const client = request.client === NOWHERE ? (this.#address ?? NOWHERE) : request.client;
      answer = await this.sets.open({ ...request, client });
    } finally {
      // Closing flushes pin updates that would otherwise be written later.
      await this.close();
    }
    if (asked === undefined) {
      return { answer, asked: undefined, version: undefined, reason: undefined, pin: undefined, file: undefined };
    }
    const channel = asked.kind === 'channel' ? asked.channel.name : undefined;
    const pin = this.#pins.used.findLast((used) => used.channel === channel && used.usedAt === this.#at);
    const label = answer.kind === 'content' ? answer.label : undefined;
    const version =
      asked.kind === 'version' ? asked.version : label === undefined ? undefined : versionOf(catalog, label);
    const file =
      label === undefined || version === undefined
        ? undefined
        : version.file(label.slice(version.name.length + 1), false);
    const { tables } = this.#store;
    return {
      answer,
      asked: { by: asked.kind, ...(channel === undefined ? {} : { channel }), file: asked.file },
      version: version?.name ?? (pin === undefined ? undefined : versionName(pin.channel, pin.version)),
      reason: reasonOf(asked.kind, pin, this.#before, channel, tables, label !== undefined),
      pin,
      file: file === undefined ? undefined : { ...file, blob: this.#store.blobPath(file.digest) },
    };
  }

  close(): Promise<void> {
    return this.sets.close();
  }
}

/** Returns the client's address; for NOWHERE, the address of its most recently used pin. */
function whereabouts({ address, ids }: NonNullable<RehearsalOptions['client']>, known: readonly PinRecord[]): string {
  if (address !== NOWHERE) return address;
  const own = known.filter(({ node }) => ids.includes(node)).toSorted((a, b) => b.usedAt - a.usedAt);
  return own[0]?.address ?? NOWHERE;
}

function versionOf(catalog: Catalog, label: string): ReturnType<Catalog['versionNamed']> {
  for (let slash = label.indexOf('/'); slash > 0; slash = label.indexOf('/', slash + 1)) {
    const version = catalog.versionNamed(label.slice(0, slash));
    if (version !== undefined) return version;
  }
  return undefined;
}

function reasonOf(
  kind: 'channel' | 'version',
  pin: PinRecord | undefined,
  before: readonly PinRecord[],
  channel: string | undefined,
  tables: Tables,
  isThere: boolean,
): VersionReason | undefined {
  if (kind === 'version') return 'explicit';
  if (pin === undefined) return isThere ? 'shared network' : undefined;
  const isGoingOn = before.some((one) => one.channel === channel && isSamePin(one, pin));
  if (isGoingOn) return 'pinned';
  if (tables.overrides.get(pinKey(pin.node, pin.channel))?.version === pin.version) return 'by hand';
  const { current, rollout } = tables.channels.get(pin.channel) ?? {};
  return rollout?.candidate === pin.version && current !== pin.version ? 'rollout' : 'current';
}
