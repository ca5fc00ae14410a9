/**
 * A boot set as an OCI image manifest, in the form of the netboot artifact specification: one layer for each file. The
 * same files and arguments give the same bytes, whoever builds it and when: its digest is the set's identity.
 */
import { createHash } from 'node:crypto';
import { cleanName } from '../../content/name.ts';
import { MEDIA_TYPE } from './layout.ts';
import type { FileRecord } from './records.ts';

/** What manifests of container images and artifacts are kept below by registries. */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
export const MAX_FILES = 8192;
/** A request has room for 512 bytes; the channel's name and the options share it. */
export const MAX_FILE_NAME_BYTES = 255;

/** The config that every boot set has: an empty object. */
export const EMPTY_CONFIG = '{}';
export const EMPTY_DIGEST = sha256(EMPTY_CONFIG);

const NETBOOT = 'org.pulpproject.netboot';
export const TITLE = 'org.opencontainers.image.title';
export const KERNEL_ARGUMENTS = 'io.reveille.kernel-arguments';
/** Loaders that firmware of one kind asks for first, by how their files are called. */
const ENTRY_POINTS: readonly (readonly [annotation: string, file: RegExp])[] = [
  [`${NETBOOT}.entrypoint`, /^shim[^/]*\.efi$/i],
  [`${NETBOOT}.altentrypoint`, /^grub[^/]*\.efi$/i],
  [`${NETBOOT}.legacyentrypoint`, /^(?:l?pxelinux|undionly|grub[^/]*)\.(?:0|kpxe)$/i],
];

/** What makes a boot set this one and no other. */
export interface BootSet {
  readonly files: readonly FileRecord[];
  readonly kernelArguments?: string;
  /** `name`, `version` and `arch` of the operating system, as far as they are known. */
  readonly os?: Readonly<Record<string, string>>;
}

export function sha256(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** By code units, so that it does not depend on the locale. */
export function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : Number(a.name > b.name);
}

function sortedKeys(record: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function entryPoints(files: readonly FileRecord[]): [string, string][] {
  return ENTRY_POINTS.flatMap(([annotation, pattern]) => {
    const fitting = files.filter(({ name }) => pattern.test(name.slice(name.lastIndexOf('/') + 1)));
    // The nearest to the top, then the first by name.
    const depth = ({ name }: FileRecord): number => name.split('/').length;
    const [first] = fitting.toSorted((a, b) => depth(a) - depth(b) || byName(a, b));
    return first === undefined ? [] : [[annotation, first.name] as [string, string]];
  });
}

/** @returns the manifest's bytes, as text. */
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

/** @returns what is wrong with the name, as the rest of a line, or undefined. */
export function checkFileName(name: string): string | undefined {
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length > MAX_FILE_NAME_BYTES) return `expected at most ${MAX_FILE_NAME_BYTES} bytes, got ${bytes.length}`;
  // What cleaning changes could not be asked for: backslashes, `..`, control characters, U+00FF at the end.
  if (bytes.toString('utf8') !== name || cleanName(bytes.toString('latin1')) !== name) {
    return 'expected a relative name in UTF-8 without "..", backslashes, drive letters and control characters';
  }
  return undefined;
}
