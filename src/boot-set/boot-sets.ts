/**
 * Serves the boot sets of a store as a source: an explicit name gives the version it names, a channel's name gives the
 * version that the node began its boot with. Takes a request through the parts of boot-set-parts.ts: node, catalog,
 * version, bytes. Runs in the server's main thread; knows no packets and starts no collection.
 */
import { textPath } from '../content/name.ts';
import type { HeldBytes, Unloaded } from '../content/buffer-cache-types.ts';
import { type Answer, type BootRequest, MISSING, NOT_MINE, type Source, type Validators } from '../content/types.ts';
import { whenReady } from '../content/when-ready.ts';
import { type BootSetParts, type BootSetsOptions, makeParts } from './boot-set-parts.ts';
import { ATTEMPTS, type Found } from './boot/boots.ts';
import type { ConfigPreview, ConfigRequest, ConfigVersion } from './boot/config-versions.ts';
import type { Requester } from './boot/node-finder.ts';
import type { Pin } from './boot/pin.ts';
import { behindNodeFolder, type NodeId, nodesInPath } from './node/node-identity.ts';
import { type BootSetsStats, channelStats } from './stats.ts';
import type { CatalogVersion } from './store/catalog.ts';
import { type ChannelHoldings, holdingsOf } from './holdings.ts';
import type { FileRecord } from './store/records.ts';

export type { BootSetsOptions } from './boot-set-parts.ts';

/** A client that may be told apart from others. */
interface Identified {
  readonly client: string;
  /** Ids in the requested name. */
  readonly ids: readonly NodeId[];
}

const AWAITED: Answer = { kind: 'busy', reason: 'the version has not arrived from the registry' };

/** All contents of a file share one function, because a running transfer keeps its content. */
const VALIDATORS = new WeakMap<FileRecord, () => Validators>();

function validatorsOf(file: FileRecord): () => Validators {
  let validators = VALIDATORS.get(file);
  if (validators === undefined) {
    validators = () => ({ etag: file.digest });
    VALIDATORS.set(file, validators);
  }
  return validators;
}

export class BootSets implements Source {
  readonly #parts: BootSetParts;
  #sharedAnswers = 0;

  /** @throws RangeError when a shared network is not valid. */
  constructor(options: BootSetsOptions) {
    this.#parts = makeParts(options);
    this.#parts.upkeep.begin();
  }

  stats(): BootSetsStats {
    const { catalog, policies, pins, boots, now } = this.#parts;
    return {
      channels: channelStats(catalog.channels.values(), pins.all(), policies, now()),
      versions: catalog.size,
      pins: pins.size,
      provisionalPins: pins.provisional,
      pinsEvicted: pins.evicted,
      latePins: boots.late,
      sharedAnswers: this.#sharedAnswers,
      sharedPins: this.#parts.sharedPins?.stats(),
    };
  }

  /**
   * Takes in changes of the store, and returns what it holds of each channel and what this server needs of it.
   *
   * @param needs see holdingsOf. @param wallNow wall clock in milliseconds since the epoch.
   */
  holdings(needs: Parameters<typeof holdingsOf>[1], wallNow: number): readonly ChannelHoldings[] {
    const { catalog, policies, pins, now } = this.#parts;
    catalog.refresh();
    return holdingsOf(catalog, needs, channelStats(catalog.channels.values(), pins.all(), policies, now()), wallNow);
  }

  /** Stops polling the store and writes what is pending. Transfers may still be open. */
  close(): Promise<void> {
    return this.#parts.upkeep.close();
  }

  open(request: BootRequest): Answer | Promise<Answer> {
    const { catalog, shared, finder, now, sharedPins } = this.#parts;
    const path = textPath(request.filename);
    // Names of files in a set and names that contain a node's id are clean text. The resolver tries another reading.
    if (typeof path !== 'string') return path.kind === 'missing' ? NOT_MINE : path;
    const { client } = request;
    // A name that is not in the catalog may have been published a moment ago.
    const asked = catalog.resolve(path) ?? (catalog.refresh() ? catalog.resolve(path) : undefined);
    const isShared = shared.has(client);
    const ids = isShared ? [] : nodesInPath(path, asked?.file);
    if (asked?.kind === 'channel') {
      const channel = asked.channel.name;
      if (!isShared) {
        const find = (): Requester | Promise<Requester> => finder.find(client, ids, now());
        const consulted = sharedPins?.consult(client, ids);
        const found = consulted === undefined ? find() : consulted.then(find);
        return whenReady(found, (requester) => this.#openPinned(channel, asked.file, requester, request));
      }
      // A name that identifies the node needs no address.
      const [node] = behindNodeFolder(asked.file) === undefined ? [] : nodesInPath(asked.file);
      if (node === undefined) return this.#openCurrent(channel, asked.file, request);
      return whenReady(sharedPins?.consult(client, [node], true), () =>
        this.#openPinned(channel, asked.file, { node, ids: [node], isSure: true }, request),
      );
    }
    const asker = isShared ? undefined : { client, ids };
    if (asked !== undefined) return this.#openExplicit(path, asked.file, asker, request);
    if (asker !== undefined) this.#notice(path, false, asker);
    return this.#parts.awaits(path) ? AWAITED : NOT_MINE;
  }

  /**
   * Notes a request outside any channel. What other servers know of the client is learned first, but nothing waits.
   *
   * @returns the pin under which the transfer counts as part of the node's boot, if it is known at once.
   */
  #notice(name: string, exists: boolean, { client, ids }: Identified): Pin | undefined {
    const { stages, finder, boots, now, sharedPins } = this.#parts;
    const note = (): Pin | undefined =>
      boots.notice(stages.of(name), exists, finder.peek(client, ids, now()), client, now());
    const consulted = sharedPins?.consult(client, ids);
    if (consulted === undefined) return note();
    void consulted.then(note);
    return undefined;
  }

  /** See ConfigVersions. */
  choose(channel: string, request: ConfigRequest): Promise<ConfigVersion | undefined> {
    return this.#parts.configs.choose(channel, request);
  }

  /** Returns the name that certainly identifies the client; undefined when the client may be anyone. */
  acquaintance({ client, ids }: Pick<ConfigRequest, 'client' | 'ids'>): string | undefined {
    const { finder, shared, now } = this.#parts;
    return shared.has(client) ? undefined : finder.acquaintance(client, ids, now());
  }

  /** See ConfigVersions. */
  see(request: ConfigRequest): void {
    this.#parts.configs.see(request);
  }

  /** See ConfigVersions. */
  preview(channel: string, request: ConfigRequest): ConfigPreview | undefined {
    return this.#parts.configs.preview(channel, request);
  }

  #openPinned(
    channel: string,
    name: string,
    requester: Requester,
    request: BootRequest,
    attempt = 1,
  ): Answer | Promise<Answer> {
    const { catalog, pins, boots, shelf, awaits, now, sharedPins } = this.#parts;
    if (attempt > ATTEMPTS) {
      return { kind: 'busy', reason: `versions of ${channel} are collected as soon as they are chosen` };
    }
    const lacking = sharedPins?.lacking(requester.node, request.client, channel);
    if (lacking !== undefined && awaits(`${channel}@sha256-${lacking}/${name}`)) return AWAITED;
    const tryAgain = () => this.#openPinned(channel, name, requester, request, attempt + 1);
    const found = boots.find(channel, name, requester, request.client, now());
    // The store may have changed a moment ago: a version was published or chosen, or a pin dropped by hand.
    if (found?.file === undefined && catalog.refresh()) return tryAgain();
    if (found === undefined) return awaits(`${channel}/${name}`) ? AWAITED : MISSING;
    const { version, file, pin } = found;
    // The client's address or the node's name may be new; a restart must not lose either.
    if (file === undefined) return whenReady(pin.committed, () => MISSING);
    // Counted before anything is awaited, so that the boot does not count as over while it is being answered.
    pin.open++;
    shelf.keepAlso(version);
    return whenReady(pin.committed, (settled = 'stands') => {
      // Another server may have pinned first; then the node gets that server's version.
      if (settled === 'stands' && pin.record.version === version.number) {
        return this.#answer({ version, file, pin }, request, (isAnswered) => {
          pin.open--;
          if (isAnswered) pins.prove(pin);
          pins.update(pin, { usedAt: now() }, false);
        });
      }
      pin.open--;
      catalog.refresh();
      return tryAgain();
    });
  }

  #openExplicit(
    path: string,
    name: string,
    who: Identified | undefined,
    request: BootRequest,
  ): Answer | Promise<Answer> {
    const { catalog, boots, awaits } = this.#parts;
    const find = (): CatalogVersion | undefined => {
      const asked = catalog.resolve(path);
      return asked?.kind === 'version' ? asked.version : undefined;
    };
    const version = find() ?? (catalog.refresh() ? find() : undefined);
    if (version === undefined) return awaits(path) ? AWAITED : MISSING;
    const file = boots.fileOf(version, name);
    if (file === undefined) return MISSING;
    const pin = who === undefined ? undefined : this.#notice(name, true, who);
    return this.#openNoted({ version, file, pin }, request);
  }

  async #openCurrent(channel: string, name: string, request: BootRequest): Promise<Answer> {
    const { catalog, boots, awaits, onWarning } = this.#parts;
    if (this.#sharedAnswers++ === 0) {
      const detail = { client: request.client, channel };
      onWarning('addresses of a shared network get the current version of a channel for each file', detail);
    }
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const found = boots.current(channel, name);
      const answer = found === undefined ? MISSING : await this.#openNoted(found, request);
      if (answer.kind !== 'missing') return answer;
      if (!catalog.refresh()) break;
    }
    const isAwaited = boots.currentVersion(channel) === undefined && awaits(`${channel}/${name}`);
    return isAwaited ? AWAITED : MISSING;
  }

  /** Opens a file of a version that is protected by a note in the store instead of a pin. */
  #openNoted(found: Found, request: BootRequest): Answer | Promise<Answer> {
    const { catalog, pins, notes, now } = this.#parts;
    const { version, pin } = found;
    return whenReady(notes.use(version, now()), (isThere) => {
      if (!isThere) {
        catalog.refresh();
        return MISSING;
      }
      notes.opened(version.name);
      if (pin !== undefined) pin.open++;
      return this.#answer(found, request, (isAnswered) => {
        if (pin !== undefined) {
          pin.open--;
          if (isAnswered) pins.prove(pin);
        }
        notes.closed(version.name, now());
      });
    });
  }

  /** @param done called exactly once: at once when nothing is sent, otherwise after the transfer. */
  #answer(
    { version, file }: Found,
    { mode }: BootRequest,
    done: (isAnswered: boolean) => void,
  ): Answer | Promise<Answer> {
    const { catalog, shelf } = this.#parts;
    let isOver = false;
    const end = (isAnswered = false): void => {
      if (!isOver) done(isAnswered);
      isOver = true;
    };
    const answer = (held: HeldBytes | Unloaded): Answer => {
      if (held.kind === 'missing') {
        catalog.refresh();
        end();
        return catalog.versionNamed(version.name) === undefined ? MISSING : shelf.lost(file);
      }
      if (held.kind !== 'held') {
        end();
        return held;
      }
      const release = (isAnswered = false): void => {
        held.release();
        end(isAnswered);
      };
      const { name, set } = version;
      const { handle, supply } = held;
      const label = `${name}/${file.name}`;
      const validators = mode === 'octet' ? validatorsOf(file) : undefined;
      return { kind: 'content', handle, supply, label, origin: 'bootSet', set, validators, release };
    };
    const fail = (error: unknown): never => {
      end();
      throw error;
    };
    try {
      const held = shelf.acquire(file, mode);
      return held instanceof Promise ? held.then(answer).catch(fail) : answer(held);
    } catch (error) {
      return fail(error);
    }
  }
}
