/** Records the walk of one request through the routes, for a preview. Counts nothing and warns of nothing. */
import { attachShared } from '../bytes/shared-bytes.ts';
import type { ConfigPreview } from '../boot-set/index.ts';
import { cleanName } from '../content/name.ts';
import type { Answer } from '../content/types.ts';
import { viewOf } from './boot-set-view.ts';
import type { Failed } from './jobs.ts';
import type { Route } from './route-config.ts';
import type { Asked, Pass, RouteObserver } from './route-observer.ts';
import type { Explanation, InventoryNode, RouteTrial } from './types.ts';

export class RecordingObserver implements RouteObserver {
  readonly #trials: RouteTrial[] = [];
  /** The request as seen by the last route that took it. */
  #asked: Asked | undefined;
  #version: ConfigPreview | undefined;

  passed(route: Route, why: Pass): void {
    this.#note(route, why);
  }

  taken(asked: Asked): void {
    this.#asked = asked;
  }

  rewritten(route: Route, target: string): void {
    this.#note(route, 'rewritten', target);
  }

  fixed(route: Route): void {
    this.#note(route, 'taken');
  }

  made(route: Route, isStale: boolean): void {
    this.#note(route, 'taken', isStale ? 'a stale copy is served' : undefined);
  }

  notMine(route: Route): void {
    this.#note(route, 'not mine');
  }

  failed(route: Route, _: Asked, { reason }: Failed): void {
    this.#note(route, 'failed', reason);
  }

  untaken(): void {}

  /** @param version version that the text names; undefined when it names none. */
  chosen(version: ConfigPreview | undefined): void {
    this.#version = version;
  }

  /**
   * @param filename the name that the routes were asked for.
   * @param neighbour node with the client's address, for a request that no route has taken.
   */
  explanation(answer: Answer, filename: string, neighbour: InventoryNode | undefined): Explanation {
    const name = cleanName(filename);
    return {
      name: typeof name === 'string' ? name : undefined,
      node: this.#asked?.node ?? neighbour,
      captures: this.#asked?.request.captures ?? {},
      routes: this.#trials,
      bootset: this.#version === undefined ? undefined : viewOf(this.#version.version),
      pinned: this.#version?.pinned ?? false,
      answer: explained(answer, filename),
    };
  }

  #note({ index, kind, config }: Route, verdict: RouteTrial['verdict'], detail?: string): void {
    this.#trials.push({
      route: index + 1,
      match: config.match,
      kind,
      verdict,
      ...(detail === undefined ? {} : { detail }),
    });
  }
}

function explained(answer: Answer, filename: string): Explanation['answer'] {
  switch (answer.kind) {
    case 'content':
      return { kind: 'content', bytes: attachShared(answer.handle).bytes };
    case 'renamed':
      return { kind: 'notMine', filename: answer.filename };
    case 'notMine':
      return { kind: 'notMine', filename };
    default:
      return answer;
  }
}
