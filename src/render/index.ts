/**
 * Configs rendered for nodes on request. Importing this file loads the route modules; a server without routes should
 * not import it.
 */
export type { Handler, HandlerAnswer, HandlerContext } from './handler.ts';
export { routeSchema } from './route-config.ts';
export { loadRoutes, Routes, type RoutesParts } from './routes.ts';
export * from './types.ts';
