/**
 * The identity of a content, by which another process recognizes the same bytes when it opens them again; and a copy of
 * the bytes of contents that can't be opened again (rendered configs, answers of upstreams, netascii).
 */
import { attachShared, shareBytes } from '../bytes/shared-bytes.ts';
import { type Content, ORIGINS } from './types.ts';

/** @limit Size of a content that is copied for the next process, bytes; larger ones are lost when this one dies. */
const MAX_COPY_BYTES = 64 * 1024;

/** @returns undefined for a content that can't be opened again with the same bytes. */
export function identityOf({ origin = 'file', validators }: Content): string | undefined {
  return origin === 'rendered' ? undefined : validators?.().etag;
}

/** @returns undefined for a content that is too large, or is still being read. */
export function copyOf({ handle, supply }: Content): Uint8Array | undefined {
  if (!('buffer' in handle) || handle.length > MAX_COPY_BYTES || (supply !== undefined && !supply.isWhole))
    return undefined;
  const { bytes } = attachShared(handle);
  return bytes.subarray(0, supply?.size ?? bytes.length);
}

/** Returns a content of bytes that another process has copied. @param kind its origin, if it had one. */
export function copiedContent(bytes: Uint8Array, label: string, kind: string | undefined): Content {
  const origin = ORIGINS.find((one) => one === kind);
  const handle = shareBytes(bytes);
  return { kind: 'content', handle, label, ...(origin === undefined ? {} : { origin }), release: () => {} };
}
