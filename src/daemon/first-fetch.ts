/**
 * Suggests a command to the user who has just started a server: it fetches a file, which shows that the server works.
 * Knows the root's files.
 */
import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Address } from '../engine/types.ts';
import { urlOf } from '../http/http-url.ts';
import type { HttpAddress } from '../http/types.ts';
import { formatHost } from '../text/address-text.ts';

/** Caps on directories read, and on entries looked at in each: a quick look, not a search. */
const MAX_DIRECTORIES = 32;
const MAX_ENTRIES = 2000;
/** Names that are not hidden and need no quoting in a shell or URI. */
const PLAIN = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;
/** Kernels, which a person would try first. */
const KERNEL = /^(?:linux|vmlinuz|bzImage|kernel)/;

async function list(directory: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries
      .slice(0, MAX_ENTRIES)
      .filter((entry) => PLAIN.test(entry.name))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    return [];
  }
}

/** Returns true for a file with contents. curl fails on empty files (RFC 2349's tsize 0), so they are no example. */
async function hasBytes(path: string): Promise<boolean> {
  try {
    const found = await stat(path);
    return found.isFile() && found.size > 0;
  } catch {
    return false;
  }
}

/**
 * @returns the name, relative to `root`, of a regular file that is not empty; a kernel, if there is one near the top.
 */
export async function exampleFile(root: string): Promise<string | undefined> {
  const waiting = [''];
  let first: string | undefined;
  for (let read = 0; read < MAX_DIRECTORIES && waiting.length > 0; read++) {
    const directory = waiting.shift()!;
    for (const entry of await list(join(root, directory))) {
      const name = directory === '' ? entry.name : `${directory}/${entry.name}`;
      if (entry.isDirectory()) {
        waiting.push(name);
        continue;
      }
      const kernel = KERNEL.test(entry.name);
      if (!entry.isFile() || (first !== undefined && !kernel) || !(await hasBytes(join(root, name)))) continue;
      if (kernel) return name;
      first = name;
    }
  }
  return first;
}

const STAND_INS: ReadonlyMap<string, string> = new Map([
  ['0.0.0.0', '127.0.0.1'],
  ['::', '::1'],
]);

/** Returns the address by which a person on this machine reaches the server; 127.0.0.1 if possible. */
function nearestAddress<T extends Address>(addresses: readonly T[]): T | undefined {
  const reachable = addresses
    .map((one) => ({ ...one, address: STAND_INS.get(one.address) ?? one.address }))
    .filter(({ address }) => !address.includes('%'));
  return (
    reachable.find(({ address }) => address === '127.0.0.1') ??
    reachable.find(({ address }) => !address.includes(':')) ??
    reachable[0]
  );
}

/**
 * @param http addresses of HTTP and HTTPS; plain HTTP is suggested, as its certificate needs no trust.
 * @returns `Try: curl …`, with a second line for HTTP; undefined when there is nothing to try.
 */
export async function firstFetch(
  addresses: readonly Address[],
  http: readonly HttpAddress[],
  root: string,
): Promise<string | undefined> {
  const at = nearestAddress(addresses);
  const name = at === undefined ? undefined : await exampleFile(root);
  if (at === undefined || name === undefined) return undefined;
  const port = at.port === 69 ? '' : `:${at.port}`;
  const to = name.slice(name.lastIndexOf('/') + 1);
  const plain = nearestAddress(http.filter(({ isSecure }) => !isSecure));
  const second = plain === undefined ? '' : `\n or: curl -o ${to} ${urlOf(plain)}/${name}`;
  return `Try: curl -o ${to} tftp://${formatHost(at.address)}${port}/${name}${second}`;
}
