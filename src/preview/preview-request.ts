/**
 * The content that a node would get with the current settings: its request is put through routes, boot sets and files
 * without changing any of them. Knows how a node is named, and the parts by their interfaces.
 */
import type { Rehearsal, RehearsalOptions } from '../boot-set/index.ts';
import { NOWHERE } from '../boot-set/node/node-identity.ts';
import { BufferCache } from '../content/buffer-cache.ts';
import { Directory } from '../content/directory.ts';
import type { TrustedRoots } from '../content/trusted-roots.ts';
import type { BootRequest } from '../content/types.ts';
import type { Explanation, Inventory } from '../render/types.ts';
import { type PreviewClient, idsOf, isUrl, receivedName } from './preview-client.ts';
import type { Settings } from '../config/settings.ts';
import { trace, type Way } from './trace.ts';

export interface PreviewParts {
  readonly settings: Pick<Settings, 'root' | 'caseInsensitive' | 'memoryLimitBytes' | 'singlePort'>;
  /** Folders that links in the root may lead into. */
  readonly trustedRoots: TrustedRoots;
  readonly routes: {
    readonly inventory: Inventory | undefined;
    explain(request: BootRequest): Promise<Explanation> | undefined;
  };
  /** undefined: there is no store. */
  readonly rehearse: ((client: NonNullable<RehearsalOptions['client']>) => Promise<Rehearsal>) | undefined;
}

/** @returns the address that the node asks from, as far as it is known. */
export function addressOf(client: PreviewClient, inventory: Inventory | undefined): string {
  const node = idsOf(client)
    .map((id) => inventory?.find(id))
    .find((found) => found !== undefined);
  return client.ip ?? node?.address[0] ?? NOWHERE;
}

export async function previewRequest(
  { settings, trustedRoots, routes, rehearse }: PreviewParts,
  name: string,
  client: PreviewClient,
): Promise<Way> {
  const { root, caseInsensitive, memoryLimitBytes } = settings;
  const address = addressOf(client, routes.inventory);
  const cache = new BufferCache({ maxBytes: 0, limitBytes: memoryLimitBytes });
  const clock = (): number => performance.now();
  const way = await trace(
    {
      routes: (request) => routes.explain(request),
      bootSets:
        rehearse === undefined
          ? undefined
          : async (request) => (await rehearse({ address, ids: idsOf(client) })).open(request),
      files:
        root === undefined
          ? undefined
          : { source: new Directory({ root, cache, caseInsensitive, trustedRoots, clock }), root },
    },
    {
      filename: receivedName(name),
      mode: 'octet',
      client: address,
      local: client.local ?? NOWHERE,
    },
    isUrl(name) ? 'http' : 'tftp',
  );
  return { ...way, singlePort: settings.singlePort };
}
