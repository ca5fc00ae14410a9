/**
 * Writes a software bill of materials (SPDX 2.3, JSON). The same packages give the same bytes: identifiers follow from
 * names, the namespace from the content, and the only time is the one that the caller gives.
 */
import { createHash } from 'node:crypto';

/** A package that a build contains. */
export interface Package {
  readonly name: string;
  readonly version: string;
  /** SPDX license expression; undefined: not known. */
  readonly license?: string | undefined;
  /** Package URL without its version, such as `pkg:npm/lmdb` or `pkg:deb/debian/libc6`. */
  readonly purl: string;
  /** Qualifiers of the package URL, such as `arch=amd64`. */
  readonly qualifiers?: string | undefined;
  /** Hash of the archive that the package was installed from, as npm writes it: `sha512-BASE64`. */
  readonly integrity?: string | undefined;
}

/** The build that the document is about. */
export interface Subject {
  /** Name of the file or image, without its version. */
  readonly name: string;
  readonly version: string;
  /** Time of the build, seconds since 1970. */
  readonly date: number;
  readonly packages: readonly Package[];
}

/** @returns the package URL of an npm package, without its version. */
export function npmPurl(name: string): string {
  return `pkg:npm/${name.replace(/^@/, '%40')}`;
}

/** @returns the document's text, with a line break at its end. */
export function sbomOf(subject: Subject): string {
  // A package may lie in several folders.
  const unique = new Map(subject.packages.map((part) => [purlOf(part), part]));
  const listed = [...unique].toSorted(([a], [b]) => compare(a, b)).map(([, part]) => part);
  const own: Package = {
    name: subject.name,
    version: subject.version,
    license: 'Apache-2.0',
    purl: 'pkg:generic/reveille',
  };
  const packages = [own, ...listed].map(describe);
  const content = {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: `${subject.name}-${subject.version}`,
    creationInfo: {
      created: `${new Date(subject.date * 1000).toISOString().slice(0, 19)}Z`,
      creators: ['Tool: reveille-packaging'],
    },
    packages,
    relationships: [
      relationship('SPDXRef-DOCUMENT', 'DESCRIBES', packages[0]!.SPDXID),
      ...packages.slice(1).map(({ SPDXID }) => relationship(packages[0]!.SPDXID, 'CONTAINS', SPDXID)),
    ],
  };
  const hash = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  const documentNamespace = `urn:uuid:${uuidOf(hash)}`;
  return `${JSON.stringify({ ...content, documentNamespace }, null, 2)}\n`;
}

function describe(part: Package) {
  const hash = /^sha(256|512)-(.+)$/.exec(part.integrity ?? '');
  return {
    // Two copies of one package may have different versions, so the identifier has both.
    SPDXID: `SPDXRef-${`${part.purl}-${part.version}`.replaceAll(/[^A-Za-z0-9.-]+/g, '-')}`,
    name: part.name,
    versionInfo: part.version,
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: part.license ?? 'NOASSERTION',
    copyrightText: 'NOASSERTION',
    ...(hash === null
      ? {}
      : {
          checksums: [{ algorithm: `SHA${hash[1]!}`, checksumValue: Buffer.from(hash[2]!, 'base64').toString('hex') }],
        }),
    externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: purlOf(part) }],
  };
}

function relationship(from: string, relationshipType: string, to: string) {
  return { spdxElementId: from, relationshipType, relatedSpdxElement: to };
}

/** `+` in a version (`5.2.1+dfsg`) means a space where URLs are decoded. */
function purlOf({ purl, version, qualifiers }: Package): string {
  return `${purl}@${encodeURIComponent(version)}${qualifiers === undefined ? '' : `?${qualifiers}`}`;
}

/** @returns a UUID of version 8 (RFC 9562 §5.8): one that its maker derives from content. */
function uuidOf(hash: string): string {
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `8${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join('-');
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
