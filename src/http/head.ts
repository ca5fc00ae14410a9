/**
 * The header fields of our answers, spelled as the strictest clients want them: GRUB looks for `Content-Length: ` letter
 * by letter, EDK2 ends a boot at an unexpected field. Always a Content-Length, never an empty value. Knows no sockets;
 * Node.js adds Date, Connection and Keep-Alive, which keeps a head below 1 KiB.
 */
import type { Represented, Selection } from './conditions.ts';

/** Answers without a content; 4xx and 503 have no body, so that nothing that a client sent comes back to it. */
export type PlainStatus = 400 | 403 | 404 | 405 | 503;

export interface Head {
  readonly status: Selection['status'] | PlainStatus;
  /** Names and values in turn. */
  readonly fields: readonly string[];
}

/** Types that UEFI HTTP boot goes by (UEFI specification §24.7.2). Other names get none. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['.efi', 'application/efi'],
  ['.iso', 'application/vnd.efi-iso'],
  ['.img', 'application/vnd.efi-img'],
]);

/** Clients that ask again after a 503 wait this long, seconds. */
const RETRY_AFTER_S = 1;

const PLAIN_FIELDS: Readonly<Record<PlainStatus, readonly string[]>> = {
  400: [],
  403: [],
  404: [],
  405: ['Allow', 'GET, HEAD'],
  503: ['Retry-After', String(RETRY_AFTER_S)],
};

export function plainHead(status: PlainStatus): Head {
  return { status, fields: ['Content-Length', '0', ...PLAIN_FIELDS[status]] };
}

/** @param name the name that was asked for. */
export function contentHead(name: string, selection: Selection, { size, etag, modifiedMs }: Represented): Head {
  const { status } = selection;
  const validators = [
    ...(etag === undefined ? [] : ['ETag', `"${etag}"`]),
    ...(modifiedMs === undefined ? [] : ['Last-Modified', new Date(modifiedMs).toUTCString()]),
  ];
  switch (selection.status) {
    case 304:
      return { status, fields: validators };
    case 412:
      return { status, fields: ['Content-Length', '0'] };
    case 416:
      return { status, fields: ['Content-Length', '0', 'Content-Range', `bytes */${size}`] };
    default: {
      const { from, to } = selection;
      const type = TYPES.get(name.slice(-4).toLowerCase());
      const fields = [
        'Content-Length',
        String(to - from),
        ...(type === undefined ? [] : ['Content-Type', type]),
        ...(status === 206 ? ['Content-Range', `bytes ${from}-${to - 1}/${size}`] : []),
        'Accept-Ranges',
        'bytes',
        ...validators,
      ];
      return { status, fields };
    }
  }
}
