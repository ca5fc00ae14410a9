/**
 * Boot sets that oras writes. Debian has no oras: the manifest here has the form that `oras push` documents, with
 * `--artifact-type` and a media type behind each file, and goes through Debian's registry.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MEDIA_TYPE } from '../../src/boot-set/store/layout.ts';
import { EMPTY_DIGEST, sha256 } from '../../src/boot-set/store/manifest.ts';
import { openStore } from '../../src/boot-set/store/store.ts';
import { pull } from '../../src/registry/pull.ts';
import { push } from '../../src/registry/push.ts';
import { parseReference } from '../../src/registry/reference.ts';
import { contentOf, folder, messageOf, newStore, publishFiles } from '../boot-set/fixture.ts';
import { DebianRegistry, hasRegistry, hasSkopeo } from './fixture.ts';

const FILES = { linux: 'kernel', 'grub/grub.cfg': 'linux /linux\n' };

/** `oras push HOST/boot/install:1 --artifact-type … linux:TYPE grub/grub.cfg:TYPE`. */
function orasManifest(fileType: string): string {
  const layers = Object.entries(FILES).map(([name, text]) => ({
    mediaType: fileType,
    digest: `sha256:${sha256(text)}`,
    size: text.length,
    annotations: { 'org.opencontainers.image.title': name },
  }));
  const config = { mediaType: MEDIA_TYPE.empty, digest: `sha256:${EMPTY_DIGEST}`, size: 2, data: 'e30=' };
  const annotations = { 'org.opencontainers.image.created': '2026-11-30T12:00:00Z' };
  const types = { mediaType: MEDIA_TYPE.manifest, artifactType: MEDIA_TYPE.artifact };
  return JSON.stringify({ schemaVersion: 2, ...types, config, layers, annotations });
}

/** A repository with the blobs of the files, and this manifest as `oras`. */
async function repositoryWith(manifest: string): Promise<string> {
  const { host } = await DebianRegistry.start();
  const store = await newStore();
  await publishFiles(store, 'install', FILES);
  const version = store.tables.versions.get('install-1')!;
  await push(store, { version, reference: parseReference(`oci+http://${host}/boot/install:ours`) });
  const answer = await fetch(`http://${host}/v2/boot/install/manifests/oras`, {
    method: 'PUT',
    headers: { 'content-type': MEDIA_TYPE.manifest },
    body: manifest,
  });
  expect(answer.status).toBe(201);
  return host;
}

describe.runIf(hasRegistry)('a boot set that oras pushed', () => {
  it('is pulled with its names and its digest', async () => {
    const manifest = orasManifest(MEDIA_TYPE.file);
    const host = await repositoryWith(manifest);
    const store = await newStore();
    const reference = parseReference(`oci+http://${host}/boot/install:oras`);
    const pulled = await pull(store, { reference, channel: 'install', standing: 'current' });
    expect(pulled).toMatchObject({ manifest: sha256(manifest), files: 2 });
    for (const [name, text] of Object.entries(FILES)) {
      expect(contentOf(store, 'install-1', name).toString()).toBe(text);
    }
    // Pushed again, it keeps its digest.
    const copy = parseReference(`oci+http://${host}/boot/copy:1`);
    const version = store.tables.versions.get('install-1')!;
    expect(await push(store, { version, reference: copy })).toMatchObject({ manifest: sha256(manifest) });
  });

  it.runIf(hasSkopeo)('is a store when it is copied into a layout', async () => {
    const manifest = orasManifest(MEDIA_TYPE.file);
    const host = await repositoryWith(manifest);
    const layout = join(folder(), 'layout');
    const from = `docker://${host}/boot/install:oras`;
    execFileSync('skopeo', ['copy', '--insecure-policy', '--src-tls-verify=false', from, `oci:${layout}:install-1`]);
    const store = await openStore({ path: layout });
    expect(store.tables.versions.get('install-1')?.manifest).toBe(sha256(manifest));
    await store.close();
  });

  it('without media types is refused in one line that says which one is wanted', async () => {
    const host = await repositoryWith(orasManifest('application/vnd.oci.image.layer.v1.tar'));
    const store = await newStore();
    const reference = parseReference(`oci+http://${host}/boot/install:oras`);
    expect(await messageOf(() => pull(store, { reference, channel: 'install', standing: 'current' }))).toBe(
      `StoreError: "${reference.text}": expected a boot set: layers[1].mediaType: expected application/x-netboot-file, got "application/vnd.oci.image.layer.v1.tar"`,
    );
  });
});
