/**
 * Interface between the walk of a request through the routes and its observers. Defines the events alone; does not know
 * which of them are counted or recorded.
 */
import type { Failed } from './jobs.ts';
import type { idsOf } from './pattern.ts';
import type { Route } from './route-config.ts';
import type { InventoryNode, RenderRequest, RouteTrial } from './types.ts';

/** A request as a route sees it. */
export interface Asked {
  readonly request: RenderRequest;
  /** Ids of the client in its name. */
  readonly ids: ReturnType<typeof idsOf>;
  readonly node: InventoryNode | undefined;
}

/** Why a route leaves a request to the next one. */
export type Pass = Extract<RouteTrial['verdict'], 'no match' | 'other labels' | 'unknown node'>;

/**
 * Receives the events of a request's walk through the routes. An observer may receive the events of many requests
 * interleaved; only an observer made for a single request may keep state between events.
 */
export interface RouteObserver {
  /** The route does not apply to the request. */
  passed(route: Route, why: Pass): void;
  /** The route applies to the request. The next event tells the outcome. */
  taken(asked: Asked): void;
  /** From here on the request has another name. */
  rewritten(route: Route, target: string): void;
  /** A route that makes no text has answered: with a refusal or an empty file. */
  fixed(route: Route, asked: Asked): void;
  /** A route has answered with a text. */
  made(route: Route, isStale: boolean): void;
  /** The handler or upstream of a route has left the request to the next route. */
  notMine(route: Route): void;
  /**
   * The text of a route could not be made.
   *
   * @param told reason for messages, with the route and its file.
   */
  failed(route: Route, asked: Asked, failed: Failed, told: string): void;
  /** No route has taken the request. */
  untaken(name: string, client: string): void;
}
