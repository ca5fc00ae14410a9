/**
 * Reveille as a library: serve files, boot sets and configs rendered for nodes, fetch files, and add your own sources.
 */
export { type FetchOptions, type FetchResult, fetchFile, type Sink } from './client/fetch.ts';
export * from './content/index.ts';
export type { TransferReport } from './engine/report.ts';
export {
  type AllocateFile,
  type FileMemory,
  type MapFile,
  type SharedHandle,
  shareBytes,
} from './bytes/shared-bytes.ts';
export type { Address } from './engine/types.ts';
export type { HttpAddress, HttpFigures, HttpOptions } from './http/types.ts';
export { createServer, type CreateServerOptions } from './library/create-server.ts';
export {
  bootSets,
  type BootSetsPartOptions,
  directory,
  type DirectoryPartOptions,
  ownSource,
  type Part,
  templates,
  type TemplatesPartOptions,
} from './library/sources.ts';
export type { Handler, HandlerAnswer, HandlerContext } from './render/handler.ts';
export { RenderConfigError, type RenderRequest, type RouteConfig } from './render/types.ts';
export { DEFAULT_LIMITS, startServer } from './server/server.ts';
export {
  type DropRecord,
  IGNORED,
  type Ignored,
  type Protocol,
  PROTOCOLS,
  type Refusal,
  type RefusalRecord,
  REFUSALS,
  type RequestRecord,
  type Server,
  type ServerLimits,
  type ServerObserver,
  type ServerOptions,
  type ServerStats,
  type StartRecord,
  type TransferRecord,
  type TransferView,
} from './server/types.ts';
export { OUTCOMES, type Outcome } from './session/session.ts';
