/** Boot sets as a server needs them. Loads the database: whoever has no store should not load this. */
export { BootSets, type BootSetsStats } from './boot-sets.ts';
export type { CatalogVersion } from './catalog.ts';
export type { ConfigPreview, ConfigRequest, ConfigVersion } from './config-versions.ts';
export { LeaseFile } from './lease-file.ts';
export { Neighbours } from './neighbours.ts';
export { openStore, type Store } from './store.ts';
