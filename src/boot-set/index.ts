/**
 * Boot sets as a server needs them. Importing this file loads the database; a server without a store should not import
 * it.
 */
export { BootSets, type BootSetsOptions } from './boot-sets.ts';
export type { CatalogVersion } from './store/catalog.ts';
export type { ConfigPreview, ConfigRequest, ConfigVersion } from './boot/config-versions.ts';
export { DhcpLeases } from './node/dhcp-leases.ts';
export type { ChannelHoldings, Holding } from './holdings.ts';
export { Neighbours } from './node/neighbours.ts';
export { type BootSetWay, Rehearsal, type RehearsalOptions } from './rehearsal.ts';
export type { BootSetsStats, ChannelStats, VersionPins } from './stats.ts';
export { DEFAULT_CHANNEL_SETTINGS } from './store/records.ts';
export { followPromotions } from './store/channel-changes.ts';
export { sharedPinsProbe } from './boot/shared-record.ts';
export { openStore, type Store } from './store/store.ts';
export type { LabelsOf } from './boot/version-choice.ts';
export { unwrittenStore } from './unwritten-store.ts';
