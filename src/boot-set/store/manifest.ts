/**
 * Builds the OCI image manifest of a boot set, in the form of the netboot artifact specification: one layer per file.
 * Equal files and arguments give equal bytes, regardless of builder and time, so the manifest's digest identifies the
 * set.
 */
import { createHash } from 'node:crypto';
import { cleanName } from '../../content/name.ts';
import { MEDIA_TYPE } from './layout.ts';
import type { FileRecord } from './records.ts';

/**
 * Limit that registries put on manifests of container images and artifacts.
 * @limit Size of a manifest. Shows: an error message.
 */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
/** @limit Files in a boot set. Shows: an error message. */
export const MAX_FILES = 8192;
/**
 * A request has 512 bytes; the channel's name and the options share them.
 * @limit Length of a file name in a boot set. Shows: an error message.
 */
export const MAX_FILE_NAME_BYTES = 255;

/** The config of every boot set: an empty object. */
export const EMPTY_CONFIG = '{}';
export const EMPTY_DIGEST = sha256(EMPTY_CONFIG);

const NETBOOT = 'org.pulpproject.netboot';
export const TITLE = 'org.opencontainers.image.title';
export const KERNEL_ARGUMENTS = 'io.reveille.kernel-arguments';
/** File names of the loaders that one kind of firmware asks for first, by annotation. */
const ENTRY_POINTS: readonly (readonly [annotation: string, file: RegExp])[] = [
  [`${NETBOOT}.entrypoint`, /^shim[^/]*\.efi$/i],
  [`${NETBOOT}.altentrypoint`, /^grub[^/]*\.efi$/i],
  [`${NETBOOT}.legacyentrypoint`, /^(?:l?pxelinux|undionly|grub[^/]*)\.(?:0|kpxe)$/i],
];

/** The contents that identify a boot set. */
export interface BootSet {
  readonly files: readonly FileRecord[];
  readonly kernelArguments?: string;
  /** Known values of `name`, `version` and `arch` of the operating system. */
  readonly os?: Readonly<Record<string, string>>;
}

export function sha256(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Compares by code units, so that the order does not depend on the locale. */
export function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : Number(a.name > b.name);
}

function sortedKeys(record: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

export function lastPartOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

/** Returns the name in the fewest folders, of several the first by code units; undefined without names. */
export function topmost(names: readonly string[]): string | undefined {
  const depth = (name: string): number => name.split('/').length;
  return names.toSorted((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1))[0];
}

function entryPoints(files: readonly FileRecord[]): [string, string][] {
  return ENTRY_POINTS.flatMap(([annotation, pattern]) => {
    const first = topmost(files.map(({ name }) => name).filter((name) => pattern.test(lastPartOf(name))));
    return first === undefined ? [] : [[annotation, first] as [string, string]];
  });
}

/** @returns the manifest as text. */
export function buildManifest({ files, kernelArguments, os = {} }: BootSet): string {
  const sorted = files.toSorted(byName);
  const annotations = sortedKeys({
    [`${NETBOOT}.version`]: '1',
    ...Object.fromEntries(entryPoints(sorted)),
    ...Object.fromEntries(Object.entries(os).map(([key, value]) => [`${NETBOOT}.os.${key}`, value])),
    ...(kernelArguments === undefined ? {} : { [KERNEL_ARGUMENTS]: kernelArguments }),
  });
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.manifest,
    artifactType: MEDIA_TYPE.artifact,
    config: { mediaType: MEDIA_TYPE.empty, digest: `sha256:${EMPTY_DIGEST}`, size: EMPTY_CONFIG.length, data: 'e30=' },
    layers: sorted.map(({ name, digest, size }) => ({
      mediaType: MEDIA_TYPE.file,
      digest: `sha256:${digest}`,
      size,
      annotations: {
        [TITLE]: name,
        [`${NETBOOT}.src.digest`]: `sha256:${digest}`,
        [`${NETBOOT}.src.size`]: String(size),
      },
    })),
    annotations,
  });
}

/** @returns what is wrong with the name, as the rest of an error message; undefined when it is valid. */
export function checkFileName(name: string): string | undefined {
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length > MAX_FILE_NAME_BYTES) return `expected at most ${MAX_FILE_NAME_BYTES} bytes, got ${bytes.length}`;
  // Rejects names that cleaning would change and that no request could therefore ask for: with backslashes, `..`,
  // control characters, or U+00FF at the end.
  if (bytes.toString('utf8') !== name || cleanName(bytes.toString('latin1')) !== name) {
    return 'expected a relative name in UTF-8 without "..", backslashes, drive letters and control characters';
  }
  return undefined;
}
