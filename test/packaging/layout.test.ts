/** The format of the image, with small layers. .ci/check-image builds and runs the whole image. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { BIND_SERVICE, RUN_CONFIG } from '../../packaging/image/description.ts';
import { layerFiles, writeArchive, writeLayout } from '../../packaging/image/layout.ts';
import { folder } from '../support/reveille.ts';

const CONTENTS = {
  version: '1.2.3',
  commit: 'abc1234',
  date: 1_700_000_000,
  sbom: '{}\n',
  layers: [
    { what: 'the lower layer', entries: [{ path: 'etc' }, { path: 'etc/passwd', text: 'root:x:0:0\n' }] },
    { what: 'the upper layer', entries: [{ path: 'node', text: '#!', mode: 0o755, capability: BIND_SERVICE }] },
  ],
};

function written(contents = CONTENTS): { readonly layout: string; readonly archive: string } {
  const place = folder();
  const [layout, archive] = [join(place, 'image'), join(place, 'image.tar')];
  writeLayout(layout, contents);
  writeArchive(archive, layout, contents);
  return { layout, archive };
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

it('names each blob by its digest, and each layer by the digest of its content', () => {
  const { layout } = written();
  const blobs = readdirSync(join(layout, 'blobs/sha256'));
  // Two layers, the config and the manifest.
  expect(blobs.length).toBe(4);
  expect(blobs.filter((name) => sha256(readFileSync(join(layout, 'blobs/sha256', name))) !== name)).toEqual([]);
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as { manifests: { digest: string }[] };
  const read = (digest: string): unknown =>
    JSON.parse(readFileSync(join(layout, 'blobs', digest.replace(':', '/')), 'utf8'));
  const manifest = read(index.manifests[0]!.digest) as { config: { digest: string; size: number } };
  const config = read(manifest.config.digest) as { config: object; created: string; rootfs: { diff_ids: string[] } };
  expect(config).toMatchObject({ config: RUN_CONFIG, created: '2023-11-14T22:13:20Z' });
  const contents = layerFiles(layout).map((file) => `sha256:${sha256(gunzipSync(readFileSync(file)))}`);
  expect(config.rootfs.diff_ids).toEqual(contents);
});

it('gives the same bytes each time', () => {
  const [one, two] = [written(), written()];
  expect(sha256(readFileSync(one.archive))).toBe(sha256(readFileSync(two.archive)));
  expect(execFileSync('diff', ['--recursive', one.layout, two.layout], { encoding: 'utf8' })).toBe('');
});

it('gives the same layers for the same files in another version, so that an engine fetches only what has changed', () => {
  const { layout } = written();
  const next = written({ ...CONTENTS, version: '1.2.4', commit: 'abc1235', date: CONTENTS.date + 3600 }).layout;
  const names = (of: string): string[] => layerFiles(of).map((file) => basename(file));
  expect(names(next)).toEqual(names(layout));
});

const skopeo = spawnSync('skopeo', ['--version']).status === 0;

describe.runIf(skopeo || process.env['CI'] !== undefined)('skopeo', () => {
  it('reads the layout, and the archive in both formats', () => {
    const { layout, archive } = written();
    const layers = ['oci', 'oci-archive', 'docker-archive'].map((format) => {
      const place = `${format}:${format === 'oci' ? layout : archive}`;
      const said = execFileSync('skopeo', ['inspect', '--config', place], { encoding: 'utf8' });
      return (JSON.parse(said) as { rootfs: { diff_ids: string[] } }).rootfs.diff_ids;
    });
    expect(layers[0]!.length).toBe(2);
    expect(layers).toEqual([layers[0], layers[0], layers[0]]);
    const tags = execFileSync('skopeo', ['list-tags', `docker-archive:${archive}`], { encoding: 'utf8' });
    expect((JSON.parse(tags) as { Tags: string[] }).Tags).toEqual(['reveille:1.2.3']);
  });
});
