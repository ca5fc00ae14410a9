/** The chain of sources: each is asked in turn until one has an answer, for one reading of the name after another. */
import { readingsBehind, readingsOf } from '../content/name.ts';
import type { Answer, BootRequest, Renamed, Source } from '../content/types.ts';
import { whenReady } from '../content/when-ready.ts';

export type Resolved = Exclude<Answer, { kind: 'notMine' | 'renamed' }>;

export class Resolver {
  readonly #sources: readonly Source[];

  constructor(sources: readonly Source[]) {
    this.#sources = sources;
  }

  /**
   * Answers at once where no source needs to wait. Never throws or rejects: a source that does counts as busy, and the
   * client asks again.
   */
  resolve(request: BootRequest): Resolved | Promise<Resolved> {
    const readings = readingsOf(request.filename);
    if ('kind' in readings) return readings;
    return whenReady(this.#tryFrom(0, readings, request), (found) => {
      if (found.kind !== 'missing') return found;
      // By now a folder knows where it lies.
      const more = readingsBehind(
        readings,
        this.#sources.flatMap(({ paths = [] }) => paths),
      );
      return more.length === 0 ? found : this.#tryFrom(0, more, request);
    });
  }

  /** Asks for the readings from that one on, as long as what is asked for is missing. */
  #tryFrom(first: number, readings: readonly string[], request: BootRequest): Resolved | Promise<Resolved> {
    const answer = this.#askFrom(0, { ...request, filename: readings[first]! });
    if (first === readings.length - 1) return answer;
    return whenReady(answer, (found) =>
      found.kind === 'missing' ? this.#tryFrom(first + 1, readings, request) : found,
    );
  }

  #askFrom(first: number, request: BootRequest): Resolved | Promise<Resolved> {
    let asked = request;
    for (let index = first; index < this.#sources.length; index++) {
      try {
        const answer = this.#sources[index]!.open(asked);
        if (!('kind' in answer)) return this.#waitFor(answer, index, asked);
        if (answer.kind === 'renamed') asked = renamed(asked, answer);
        else if (answer.kind !== 'notMine') return withPatience(answer, asked);
      } catch (cause) {
        return busy(cause);
      }
    }
    return { kind: 'missing' };
  }

  async #waitFor(pending: Promise<Answer>, index: number, asked: BootRequest): Promise<Resolved> {
    try {
      const answer = await pending;
      // A source of JavaScript may forget to return one.
      if (!('kind' in answer)) throw new TypeError('the source gave no answer');
      if (answer.kind === 'notMine') return await this.#askFrom(index + 1, asked);
      if (answer.kind === 'renamed') return await this.#askFrom(index + 1, renamed(asked, answer));
      return withPatience(answer, asked);
    } catch (cause) {
      return busy(cause);
    }
  }
}

function renamed(asked: BootRequest, { filename, patienceMs = asked.patienceMs }: Renamed): BootRequest {
  return patienceMs === undefined ? { ...asked, filename } : { ...asked, filename, patienceMs };
}

/** The patience of the source that renamed the request, unless the content has its own. */
function withPatience(answer: Resolved, { patienceMs }: BootRequest): Resolved {
  if (patienceMs === undefined || answer.kind !== 'content') return answer;
  return {
    ...answer,
    patienceMs: answer.patienceMs ?? patienceMs,
    release: (isAnswered) => answer.release(isAnswered),
  };
}

function busy(cause: unknown): Resolved {
  return { kind: 'busy', reason: cause instanceof Error ? cause.message : String(cause) };
}
