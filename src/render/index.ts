/** Configs for nodes, made when they are asked for. Loads a template engine: whoever has no routes should not load this. */
export type { Handler, HandlerAnswer, HandlerContext } from './handler.ts';
export { routeSchema } from './route-config.ts';
export { loadRoutes, Routes, type RoutesParts } from './routes.ts';
export * from './types.ts';
