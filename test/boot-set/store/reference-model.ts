/**
 * The intended behavior of a store of boot sets in plain code: no files, no transactions, no code shared with the
 * store. Everything except what a collection frees is kept forever.
 */
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Former versions kept for a channel without a setting of its own. */
export const DEFAULT_KEPT = 0;

export interface ModelChannel {
  current: number | undefined;
  previous: number[];
  candidate: number | undefined;
  keepVersions: number;
}

export class ReferenceModel {
  now = 1_700_000_000_000;
  readonly channels = new Map<string, ModelChannel>();
  /** Maps a version such as `a-1` to its content. */
  readonly versions = new Map<string, { content: string; keep: boolean; unneededSince: number | undefined }>();
  readonly pins: { node: string; channel: string; version: string; createdAt: number; usedAt: number }[] = [];
  readonly overrides = new Map<string, string>();
  readonly useNotes = new Map<string, { usedAt: number; renderedAt: number }>();
  readonly #numbersGiven = new Map<string, number>();

  publish(channel: string, content: string, keep: boolean, candidate: boolean): string {
    const known = [...this.versions].find(
      ([name, version]) => channelOf(name) === channel && version.content === content,
    );
    const at = this.channels.get(channel) ?? {
      current: undefined,
      previous: [],
      candidate: undefined,
      keepVersions: DEFAULT_KEPT,
    };
    this.channels.set(channel, at);
    let name = known?.[0];
    if (name === undefined) {
      const number = (this.#numbersGiven.get(channel) ?? 0) + 1;
      this.#numbersGiven.set(channel, number);
      name = `${channel}-${number}`;
      this.versions.set(name, { content, keep: false, unneededSince: undefined });
    }
    if (keep) this.versions.get(name)!.keep = true;
    if (candidate && at.current !== numberOf(name)) at.candidate = numberOf(name);
    else this.#move(at, numberOf(name));
    return name;
  }

  #move(channel: ModelChannel, number: number): void {
    if (channel.candidate === number) channel.candidate = undefined;
    if (channel.current === number) return;
    channel.previous = channel.previous.filter((one) => one !== number && one !== channel.current);
    if (channel.current !== undefined) channel.previous.unshift(channel.current);
    channel.current = number;
  }

  rollback(name: string): boolean {
    const channel = this.channels.get(name);
    const to = channel?.previous[0];
    if (channel === undefined || to === undefined) return false;
    this.#move(channel, to);
    return true;
  }

  removeChannel(name: string): boolean {
    const channel = this.channels.get(name);
    if (channel === undefined) return false;
    Object.assign(channel, { current: undefined, previous: [], candidate: undefined });
    for (const [version, record] of this.versions) if (channelOf(version) === name) record.keep = false;
    for (const [key, version] of this.overrides) if (channelOf(version) === name) this.overrides.delete(key);
    return true;
  }

  removeVersion(name: string): boolean {
    const channel = this.channels.get(channelOf(name));
    const version = this.versions.get(name);
    if (channel === undefined || version === undefined) return false;
    const number = numberOf(name);
    if (channel.current === number || channel.candidate === number) return false;
    if ([...this.overrides.values()].includes(name)) return false;
    channel.previous = channel.previous.filter((one) => one !== number);
    version.keep = false;
    return true;
  }

  rollOut(name: string): boolean {
    const channel = this.channels.get(channelOf(name));
    if (channel === undefined || !this.versions.has(name) || channel.current === numberOf(name)) return false;
    channel.candidate = numberOf(name);
    return true;
  }

  endRollout(name: string, promote: boolean): boolean {
    const channel = this.channels.get(name);
    if (channel?.candidate === undefined) return false;
    if (promote) this.#move(channel, channel.candidate);
    channel.candidate = undefined;
    return true;
  }

  keep(name: string, keep: boolean): boolean {
    const version = this.versions.get(name);
    if (version === undefined) return false;
    version.keep = keep;
    return true;
  }

  override(node: string, name: string): boolean {
    if (!this.versions.has(name)) return false;
    this.overrides.set(`${node} ${channelOf(name)}`, name);
    return true;
  }

  dropOverride(node: string, channel: string): boolean {
    return this.overrides.delete(`${node} ${channel}`);
  }

  /** A request by name: renews a pin that holds, or starts a new boot on the current version. */
  boot(node: string, channel: string): { version: string; createdAt: number } | undefined {
    const at = this.pins.findIndex((pin) => pin.node === node && pin.channel === channel);
    const found = this.pins[at];
    if (found !== undefined && this.#holds(found)) {
      found.usedAt = this.now;
      return found;
    }
    const current = this.channels.get(channel)?.current;
    if (current === undefined) return undefined;
    const pin = { node, channel, version: `${channel}-${current}`, createdAt: this.now, usedAt: this.now };
    if (at >= 0) this.pins[at] = pin;
    else this.pins.push(pin);
    return pin;
  }

  noteUse(name: string, rendered: boolean): boolean {
    if (!this.versions.has(name)) return false;
    const before = this.useNotes.get(name);
    this.useNotes.set(name, { usedAt: this.now, renderedAt: rendered ? this.now : (before?.renderedAt ?? 0) });
    return true;
  }

  #holds(pin: { usedAt: number; createdAt: number }): boolean {
    return this.now - pin.usedAt <= 15 * MINUTE && this.now - pin.createdAt <= 2 * HOUR;
  }

  isNeeded(name: string): boolean {
    const channel = this.channels.get(channelOf(name));
    const number = numberOf(name);
    if (channel?.current === number || channel?.candidate === number) return true;
    if (channel?.previous.slice(0, channel.keepVersions).includes(number) === true) return true;
    if (this.versions.get(name)!.keep || [...this.overrides.values()].includes(name)) return true;
    if (this.pins.some((pin) => pin.version === name && this.#holds(pin))) return true;
    const note = this.useNotes.get(name);
    return note !== undefined && (this.now - note.usedAt <= 15 * MINUTE || this.now - note.renderedAt < 24 * HOUR);
  }

  collect(graceMs: number): void {
    for (const [name, version] of this.versions) {
      if (this.isNeeded(name)) {
        version.unneededSince = undefined;
        continue;
      }
      version.unneededSince ??= this.now;
      if (this.now - version.unneededSince < graceMs) continue;
      this.versions.delete(name);
      this.useNotes.delete(name);
      const channel = this.channels.get(channelOf(name));
      if (channel !== undefined) channel.previous = channel.previous.filter((one) => one !== numberOf(name));
    }
    for (const [name, channel] of this.channels) {
      const isEmpty = ![...this.versions.keys()].some((version) => channelOf(version) === name);
      if (isEmpty && channel.current === undefined && channel.candidate === undefined) this.channels.delete(name);
    }
  }
}

export function channelOf(version: string): string {
  return version.slice(0, version.lastIndexOf('-'));
}

export function numberOf(version: string): number {
  return Number(version.slice(version.lastIndexOf('-') + 1));
}
