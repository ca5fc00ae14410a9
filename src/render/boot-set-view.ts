/**
 * A version of a boot set as templates see it: names of its kernel, initrd, modules and all other files. Works on names
 * alone.
 */
import type { CatalogVersion } from '../boot-set/store/catalog.ts';
import { lastPartOf, topmost } from '../boot-set/store/manifest.ts';
import type { BootSetView } from './types.ts';

/**
 * Patterns for the last part of a name, the most reliable first. Signatures and checksums have names like the files
 * they belong to, and are excluded.
 */
const ROLES: Readonly<Record<'kernel' | 'initrd' | 'modules', readonly RegExp[]>> = {
  kernel: [
    /^vmlinu[xz](?:[-._].*)?$/,
    /^(?:bz|z|u)?image(?:[-._].*)?$/,
    /^linux(?:[-._].*)?$/,
    /^(?:boot-)?kernel(?:[-._0-9].*)?$/,
    /-kernel[-.]/,
  ],
  initrd: [/^(?:boot-)?u?initrd(?:[-._0-9].*)?$/, /^initramfs(?:[-._0-9].*)?$/, /-init(?:rd|ramfs)[-.]/],
  modules: [/^modloop(?:[-._].*)?$/, /^modules(?:[-._].*)?$/],
};
const BESIDE = /\.(?:sig|asc|sha(?:1|256|512)(?:sum)?|md5(?:sum)?|txt|cmdline)$/;

function find(names: readonly string[], patterns: readonly RegExp[]): string | undefined {
  for (const pattern of patterns) {
    const fitting = names.filter((name) => {
      const last = lastPartOf(name).toLowerCase();
      return pattern.test(last) && !BESIDE.test(last);
    });
    const first = topmost(fitting);
    if (first !== undefined) return first;
  }
  return undefined;
}

export function viewOf(
  version: Pick<CatalogVersion, 'name' | 'path' | 'channel' | 'number' | 'files' | 'kernelArguments'>,
): BootSetView {
  const { name, path, channel, number, files, kernelArguments } = version;
  const names = files.map((file) => file.name);
  const roles = Object.entries(ROLES).flatMap(([role, patterns]) => {
    const file = find(names, patterns);
    return file === undefined ? [] : [[role, `${path}/${file}`] as const];
  });
  return {
    name,
    path,
    channel,
    version: number,
    files: Object.fromEntries(names.map((file) => [file, `${path}/${file}`])),
    ...Object.fromEntries(roles),
    args: kernelArguments,
  };
}

const packed = new WeakMap<object, string>();

/** Returns the view as JSON, the form that threads get. Cached, because a version never changes. */
export function packedView(version: CatalogVersion): string {
  let text = packed.get(version);
  if (text === undefined) {
    text = JSON.stringify(viewOf(version));
    packed.set(version, text);
  }
  return text;
}
