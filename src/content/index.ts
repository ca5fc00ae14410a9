/** Sources that turn names into bytes, and the cache behind them. */
export * from './buffer-cache.ts';
export type * from './buffer-cache-types.ts';
export * from './directory.ts';
export * from './memory-source.ts';
export { cleanName, exactPath, type NameProblem, readingsOf, textPath } from './name.ts';
export * from './types.ts';
