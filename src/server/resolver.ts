/** The chain of sources: each is asked in turn until one has an answer, for one reading of the name after another. */
import { readingsBehind, readingsOf } from '../content/name.ts';
import { type Answer, type BootRequest, MISSING, type Renamed, type Source } from '../content/types.ts';

export type Resolved = Exclude<Answer, { kind: 'notMine' | 'renamed' }>;

export class Resolver {
  readonly #sources: readonly Source[];

  constructor(sources: readonly Source[]) {
    this.#sources = sources;
  }

  /**
   * Answers synchronously where no source needs to wait. Never throws or rejects: a source that does counts as busy,
   * and the client asks again.
   */
  resolve(request: BootRequest): Resolved | Promise<Resolved> {
    const readings = readingsOf(request.filename);
    return 'kind' in readings ? readings : this.#tryFrom(0, readings, request, false);
  }

  /**
   * Tries the readings from `first` on while the name is missing.
   *
   * @param isLast true if no further readings follow.
   */
  #tryFrom(
    first: number,
    readings: readonly string[],
    request: BootRequest,
    isLast: boolean,
  ): Resolved | Promise<Resolved> {
    for (let index = first; index < readings.length; index++) {
      const filename = readings[index]!;
      const answer = this.#askFrom(0, filename === request.filename ? request : { ...request, filename });
      if (answer instanceof Promise) return this.#tryAfter(answer, index + 1, readings, request, isLast);
      if (answer.kind !== 'missing') return answer;
    }
    // By now the sources know where their folders are.
    const more = isLast ? [] : readingsBehind(readings, this.#sources);
    return more.length === 0 ? MISSING : this.#tryFrom(0, more, request, true);
  }

  async #tryAfter(
    pending: Promise<Resolved>,
    next: number,
    readings: readonly string[],
    request: BootRequest,
    isLast: boolean,
  ): Promise<Resolved> {
    const answer = await pending;
    return answer.kind === 'missing' ? await this.#tryFrom(next, readings, request, isLast) : answer;
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
    return MISSING;
  }

  async #waitFor(pending: Promise<Answer>, index: number, asked: BootRequest): Promise<Resolved> {
    try {
      const answer = await pending;
      // A source written in JavaScript may forget to return an answer.
      if (!('kind' in answer)) throw new TypeError('the source returned no answer');
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

/** Applies the patience set by the source that renamed the request, unless the content brings its own. */
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
