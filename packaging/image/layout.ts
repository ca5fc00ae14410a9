/**
 * Writes an image as an OCI image layout, the folder that skopeo, podman, buildah and containerd read, and as one
 * archive of that folder. Knows the formats of the OCI image specification 1.1; nothing of what the image contains.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { entriesBelow, gzip, writeTar } from '../tar.ts';
import { LABELS, RUN_CONFIG } from './description.ts';
import type { ImageContents, Layer } from './layers.ts';

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

const TYPE = 'application/vnd.oci.image';

/** Time of all files in layers: a layer whose files stay the same is the same layer in the next version. */
const LAYER_DATE = 0;

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The name without a registry: engines and operators put theirs before it. */
function nameOf(version: string): string {
  return `reveille:${version}`;
}

function blobPath(folder: string, digest: string): string {
  return join(folder, 'blobs', digest.replace(':', '/'));
}

/** @param folder is deleted and written. */
export function writeLayout(folder: string, contents: ImageContents): void {
  const { version, commit, date, layers } = contents;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
  const created = `${new Date(date * 1000).toISOString().slice(0, 19)}Z`;
  const annotations = {
    ...LABELS,
    'org.opencontainers.image.created': created,
    'org.opencontainers.image.revision': commit,
    'org.opencontainers.image.version': version,
  };
  const written = layers.map((layer) => writeLayer(folder, layer));
  const config = addBlob(folder, `${TYPE}.config.v1+json`, {
    architecture: 'amd64',
    os: 'linux',
    created,
    config: { ...RUN_CONFIG, Labels: annotations },
    rootfs: { type: 'layers', diff_ids: written.map(({ diffId }) => diffId) },
    history: layers.map(({ what }) => ({ created, created_by: 'npm run image', comment: what })),
  });
  const manifest = addBlob(folder, `${TYPE}.manifest.v1+json`, {
    schemaVersion: 2,
    mediaType: `${TYPE}.manifest.v1+json`,
    config,
    layers: written.map(({ descriptor }) => descriptor),
    annotations,
  });
  const index = {
    schemaVersion: 2,
    mediaType: `${TYPE}.index.v1+json`,
    manifests: [
      {
        ...manifest,
        platform: { architecture: 'amd64', os: 'linux' },
        annotations: { 'org.opencontainers.image.ref.name': nameOf(version) },
      },
    ],
  };
  writeFileSync(join(folder, 'index.json'), JSON.stringify(index));
  writeFileSync(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
}

function writeLayer(folder: string, layer: Layer): { descriptor: Descriptor; diffId: string } {
  const tar = join(folder, 'layer.tar');
  writeTar(tar, layer.entries, LAYER_DATE);
  const diffId = `sha256:${sha256(readFileSync(tar))}`;
  const packed = gzip(tar);
  const bytes = readFileSync(packed);
  const digest = `sha256:${sha256(bytes)}`;
  renameSync(packed, blobPath(folder, digest));
  return { descriptor: { mediaType: `${TYPE}.layer.v1.tar+gzip`, digest, size: bytes.length }, diffId };
}

function addBlob(folder: string, mediaType: string, content: unknown): Descriptor {
  const bytes = Buffer.from(JSON.stringify(content));
  const digest = `sha256:${sha256(bytes)}`;
  writeFileSync(blobPath(folder, digest), bytes);
  return { mediaType, digest, size: bytes.length };
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function readManifest(folder: string): Manifest {
  const { manifests } = readJson(join(folder, 'index.json')) as { manifests: readonly [Descriptor] };
  return readJson(blobPath(folder, manifests[0].digest)) as Manifest;
}

/** @returns the archives of the layers, the lowest first. */
export function layerFiles(folder: string): string[] {
  return readManifest(folder).layers.map(({ digest }) => blobPath(folder, digest));
}

/**
 * Writes the layout as one archive. Its manifest.json is for `docker load`, which before Docker 25 reads no OCI layout.
 * @param folder a layout of writeLayout.
 */
export function writeArchive(target: string, folder: string, { version, date }: ImageContents): void {
  const { config, layers } = readManifest(folder);
  const inArchive = ({ digest }: Descriptor): string => blobPath('', digest);
  const docker = [{ Config: inArchive(config), RepoTags: [nameOf(version)], Layers: layers.map(inArchive) }];
  writeTar(target, [...entriesBelow(folder, ''), { path: 'manifest.json', text: JSON.stringify(docker) }], date);
}
