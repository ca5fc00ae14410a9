/** The chain of sources: each is asked in turn until one has an answer. */
import type { Answer, BootRequest, Source } from '../content/types.ts';

export class Resolver {
  readonly #sources: readonly Source[];

  constructor(sources: readonly Source[]) {
    this.#sources = sources;
  }

  /** Never rejects: a source that throws counts as busy, and the client asks again. */
  async resolve(request: BootRequest): Promise<Exclude<Answer, { kind: 'notMine' | 'renamed' }>> {
    let asked = request;
    for (const source of this.#sources) {
      try {
        const answer = await source.open(asked);
        if (answer.kind === 'renamed') asked = { ...asked, filename: answer.filename };
        else if (answer.kind !== 'notMine') return answer;
      } catch (cause) {
        return { kind: 'busy', reason: cause instanceof Error ? cause.message : String(cause) };
      }
    }
    return { kind: 'missing' };
  }
}
