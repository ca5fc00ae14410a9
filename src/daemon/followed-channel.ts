/**
 * One channel that follows a tag in a registry: asks for the tag, and remembers which versions the repository lists.
 * Knows the registry's answers; downloads nothing.
 */
import type { FollowConfig } from '../config/follow-list.ts';
import type { Reference } from '../registry/reference.ts';
import type { Registry } from '../registry/registry.ts';

/**
 * Tags whose digests a server asks for, so that it can fetch versions that it lacks.
 * @limit Tags of a followed repository that a server looks up, the highest numbers first. Shows: requests stay unanswered.
 */
const MAX_TAGS = 100;
/** Tags listed, of which the highest numbers are looked up. */
const MAX_LISTED = 1000;

export class FollowedChannel {
  readonly config: FollowConfig;
  readonly reference: Reference;
  readonly #registry: Registry;
  #etag: string | undefined;
  #wanted: string | undefined;
  #listed: ReadonlySet<string> = new Set();
  /** Why the last question failed; undefined when it was answered. */
  failure: string | undefined;
  /** Why the last download failed; undefined when it succeeded. */
  pullFailure: string | undefined;
  /** Time of the last answer, by the server's monotonic clock in milliseconds. */
  answeredAt: number | undefined;
  /** The download that is under way. */
  pulling: { readonly digest: string; readonly end: AbortController } | undefined;
  /** True when the last download was given up because the tag named another version. */
  hasGivenUp = false;

  constructor(config: FollowConfig, reference: Reference, registry: Registry) {
    this.config = config;
    this.reference = reference;
    this.#registry = registry;
  }

  /** Digest that the tag named in the last answer. */
  get wanted(): string | undefined {
    return this.#wanted;
  }

  /** Returns the digest in the last answer that has this prefix; undefined when none or several have it. */
  listed(prefix: string): string | undefined {
    const [first, ...more] = [...this.#listed].filter((digest) => digest.startsWith(prefix));
    return more.length > 0 ? undefined : first;
  }

  /**
   * Asks the registry for the tag; when it has changed, also for the digests of the other tags.
   *
   * @throws Error with one line when the registry gives no answer.
   */
  async ask(): Promise<void> {
    const manifest = await this.#registry.manifest(this.#etag);
    if (manifest === undefined) return;
    const listed = new Set([manifest.digest]);
    this.#wanted = manifest.digest;
    // As many as a list has: a registry that names ever new versions and lists nothing must not fill the memory.
    this.#listed = new Set([...listed, ...[...this.#listed].slice(0, MAX_TAGS)]);
    // Only now: a list that could not be read is asked for again.
    for (const digest of await this.#digests()) listed.add(digest);
    this.#listed = listed;
    this.#etag = manifest.etag;
  }

  close(): Promise<void> {
    return this.#registry.close();
  }

  async #digests(): Promise<string[]> {
    const tags = await this.#registry.tags(MAX_LISTED);
    const order = new Intl.Collator('en', { numeric: true });
    const digests: string[] = [];
    for (const tag of tags.toSorted((a, b) => order.compare(b, a)).slice(0, MAX_TAGS)) {
      // oxlint-disable-next-line no-await-in-loop -- one question after the other keeps the load on the registry low.
      const digest = await this.#registry.digestOf(tag);
      if (digest !== undefined) digests.push(digest);
    }
    return digests;
  }
}
