/**
 * The seam between the way of a request through the routes and those that are told of it. Holds the events alone; knows
 * neither which of them are counted nor which are written down.
 */
import type { Failed } from './jobs.ts';
import type { idsOf } from './pattern.ts';
import type { Route } from './route-config.ts';
import type { InventoryNode, RenderRequest, RouteTrial } from './types.ts';

/** A request as a route sees it. */
export interface Asked {
  readonly request: RenderRequest;
  /** The identities of the client that its name holds. */
  readonly ids: ReturnType<typeof idsOf>;
  readonly node: InventoryNode | undefined;
}

/** The reason why a route leaves a request to the next. */
export type Pass = Extract<RouteTrial['verdict'], 'no match' | 'other labels' | 'unknown node'>;

/**
 * An observer is told of the way of a request, event by event. One observer may be told of many requests at once; only
 * an observer that was made for a single request may remember anything from event to event.
 */
export interface RouteObserver {
  /** A route is not for the request. */
  passed(route: Route, why: Pass): void;
  /** A route is for the request. The next event tells its outcome. */
  taken(asked: Asked): void;
  /** From here on the request is for another name. */
  rewritten(route: Route, target: string): void;
  /** A route that makes no text has answered: it refuses, or its answer is empty. */
  fixed(route: Route, asked: Asked): void;
  /** A route has answered with a text. */
  made(route: Route, isStale: boolean): void;
  /** The handler or the upstream of a route has left the request to the next route. */
  notMine(route: Route): void;
  /**
   * The text of a route could not be made.
   *
   * @param told the reason as messages have it, with the route and its file.
   */
  failed(route: Route, asked: Asked, failed: Failed, told: string): void;
  /** All routes have passed the request. */
  untaken(name: string, client: string): void;
}
