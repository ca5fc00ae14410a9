/** Bills of materials of packages. */
import { expect, it } from 'vitest';
import { type Package, npmPurl, sbomOf } from '../../packaging/sbom.ts';

const LMDB: Package = {
  name: 'lmdb',
  version: '3.5.6',
  license: 'MIT',
  purl: npmPurl('lmdb'),
  integrity: `sha512-${Buffer.alloc(64, 1).toString('base64')}`,
};
const SERVER: Package = {
  name: '@hono/node-server',
  version: '2.1.8',
  license: 'MIT',
  purl: npmPurl('@hono/node-server'),
};
const LIBC: Package = {
  name: 'libc6',
  version: '2.36-9+deb12u13',
  purl: 'pkg:deb/debian/libc6',
  qualifiers: 'arch=amd64',
};
const SUBJECT = { name: 'reveille', version: '0.1.0', date: 1_700_000_000 };

interface Document {
  readonly packages: readonly {
    readonly SPDXID: string;
    readonly checksums?: readonly object[];
    readonly licenseDeclared: string;
    readonly externalRefs: readonly { readonly referenceLocator: string }[];
  }[];
  readonly relationships: readonly { readonly relatedSpdxElement: string }[];
  readonly documentNamespace: string;
  readonly creationInfo: { readonly created: string };
}

function parsed(packages: readonly Package[]): Document {
  return JSON.parse(sbomOf({ ...SUBJECT, packages })) as Document;
}

it('lists each package once, with its hash, license and package URL', () => {
  const { packages, relationships, creationInfo } = parsed([LMDB, LIBC, SERVER, LMDB]);
  expect(creationInfo.created).toBe('2023-11-14T22:13:20Z');
  expect(packages.map(({ externalRefs }) => externalRefs[0]!.referenceLocator)).toEqual([
    'pkg:generic/reveille@0.1.0',
    'pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64',
    'pkg:npm/%40hono/node-server@2.1.8',
    'pkg:npm/lmdb@3.5.6',
  ]);
  expect(packages[1]!.licenseDeclared).toBe('NOASSERTION');
  expect(packages[3]!.checksums).toEqual([{ algorithm: 'SHA512', checksumValue: '01'.repeat(64) }]);
  expect(relationships.map(({ relatedSpdxElement }) => relatedSpdxElement)).toEqual(
    packages.map(({ SPDXID }) => SPDXID),
  );
  expect(packages.filter(({ SPDXID }) => !/^SPDXRef-[A-Za-z0-9.-]+$/.test(SPDXID))).toEqual([]);
});

it('is the same for the same packages in another order, and has another namespace for others', () => {
  const both = sbomOf({ ...SUBJECT, packages: [LMDB, SERVER] });
  expect(sbomOf({ ...SUBJECT, packages: [SERVER, LMDB] })).toBe(both);
  const namespaces = [[LMDB], [LMDB, SERVER]].map((packages) => parsed(packages).documentNamespace);
  expect(namespaces[0]).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(namespaces[0]).not.toBe(namespaces[1]);
});
