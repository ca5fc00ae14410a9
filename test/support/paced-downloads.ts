/** Several downloads that pause in mid-transfer until a test continues them. */
import type { Address } from '../../src/index.ts';
import { PacedDownload, RawClient } from './raw-client.ts';

export interface Paused {
  readonly client: RawClient;
  readonly download: PacedDownload;
}

/** Starts `count` downloads at once and pauses each in its third block: by then its transfer is well under way. */
export function startPaused(server: Address, name: string, count: number): Promise<Paused[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const client = await RawClient.open();
      const download = new PacedDownload(client, server, name);
      await download.start();
      await download.advance(2);
      return { client, download };
    }),
  );
}

export async function closeAll(paused: readonly Paused[]): Promise<void> {
  await Promise.all(paused.map(({ client }) => client.close()));
}
