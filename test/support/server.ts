/** A server on threads that serves a folder and records transfers and refusals. */
import type {
  Address,
  AllocateFile,
  BufferCache,
  HttpOptions,
  RefusalRecord,
  Server,
  ServerLimits,
  Source,
  TransferRecord,
} from '../../src/index.ts';
import { built } from './built.ts';

const LOOPBACK: readonly Address[] = [
  { address: '127.0.0.1', port: 0 },
  { address: '::1', port: 0 },
];

export interface LiveServer {
  readonly server: Server;
  /** Listening address with the given local address. */
  at(local: string): Address;
  /** Finished transfers, oldest first. */
  readonly transfers: readonly TransferRecord[];
  readonly refusals: readonly RefusalRecord[];
  readonly warnings: readonly string[];
  /** Resolves with the first transfer, past or future, that `wanted` accepts. */
  transfer(wanted: (record: TransferRecord) => boolean): Promise<TransferRecord>;
}

export interface FolderOptions {
  /** Listening addresses. Default: a free port on 127.0.0.1 and one on ::1. */
  readonly listen?: readonly Address[];
  /** Number of workers. Default 1. */
  readonly workers?: number;
  readonly limits?: Partial<ServerLimits>;
  /** If true, files are mapped. Default false. */
  readonly immutable?: boolean;
  /** Range of ports for transfers; Linux engine only. */
  readonly dataPorts?: { readonly from: number; readonly to: number };
  /** Default: TFTP alone. */
  readonly http?: HttpOptions;
  readonly singlePort?: boolean;
  readonly engine?: 'auto' | 'linux' | 'portable';
  /** Sources asked before the folder. */
  readonly before?: readonly Source[];
  readonly mayAsk?: (address: string) => boolean;
  readonly cache?: BufferCache;
  /** Slows the reading of files down. */
  readonly pace?: (allocate: AllocateFile | undefined) => AllocateFile | undefined;
}

export async function serveFolder(root: string, options: FolderOptions = {}): Promise<LiveServer> {
  const { DEFAULT_LIMITS, Directory, startServer } = built;
  const transfers: TransferRecord[] = [];
  const refusals: RefusalRecord[] = [];
  const warnings: string[] = [];
  const waiting = new Set<(record: TransferRecord) => void>();
  const server = await startServer({
    listen: options.listen ?? LOOPBACK,
    sources: ({ mapFile, allocateFile }) => [
      ...(options.before ?? []),
      new Directory({
        root,
        cache: options.cache ?? new built.BufferCache(),
        clock: () => performance.now(),
        mapFile: options.immutable === true ? mapFile : undefined,
        allocateFile: options.pace === undefined ? allocateFile : options.pace(allocateFile),
      }),
    ],
    engine: options.engine ?? 'auto',
    ...(options.http === undefined ? {} : { http: options.http }),
    singlePort: options.singlePort ?? false,
    ...(options.mayAsk === undefined ? {} : { mayAsk: options.mayAsk }),
    workers: options.workers ?? 1,
    ...(options.dataPorts === undefined ? {} : { dataPorts: options.dataPorts }),
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    observer: {
      onTransfer: (record) => {
        transfers.push(record);
        for (const tell of waiting) tell(record);
      },
      onRefusal: (record) => void refusals.push(record),
      onWarning: (message, detail) => void warnings.push(`${message} ${JSON.stringify(detail)}`),
    },
  });
  return {
    server,
    transfers,
    refusals,
    warnings,
    at(local) {
      const found = server.addresses.find(({ address }) => address === local);
      if (found === undefined) throw new Error(`Expected the server to listen on ${local}`);
      return found;
    },
    transfer(wanted) {
      const past = transfers.find(wanted);
      if (past !== undefined) return Promise.resolve(past);
      return new Promise((resolve) => {
        const tell = (record: TransferRecord): void => {
          if (!wanted(record)) return;
          waiting.delete(tell);
          resolve(record);
        };
        waiting.add(tell);
      });
    },
  };
}
