/** Configs for nodes, made when they are asked for. Loads a template engine: whoever has no routes should not load this. */
export * from './types.ts';
