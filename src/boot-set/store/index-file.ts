/**
 * index.json: the store's channels and versions as OCI tools see them. Written from the database, and read back only to
 * adopt or rebuild a store. Knows its form, and how to replace a file so that a reader sees the old or the new one.
 */
import { closeSync, writeSync } from 'node:fs';
import { CREATED, INDEX_FILE, KEEP, LABEL_PREFIX, MEDIA_TYPE, NEW, REF_NAME, TEXT_MODE } from './layout.ts';
import type { OwnFolder } from './own-folder.ts';
import { type ChannelRecord, type VersionRecord, versionName } from './records.ts';

export interface Listed {
  readonly channels: readonly ChannelRecord[];
  readonly versions: readonly VersionRecord[];
  /** Returns the size of a manifest in bytes, which index.json must contain. */
  readonly manifestSize: (digest: string) => number;
}

/** @returns the text of index.json. */
export function buildIndex({ channels, versions, manifestSize }: Listed): string {
  const byVersion = new Map(versions.map((version) => [versionName(version.channel, version.number), version]));
  const descriptor = (digest: string, annotations: Record<string, string>): unknown => ({
    mediaType: MEDIA_TYPE.manifest,
    digest: `sha256:${digest}`,
    size: manifestSize(digest),
    annotations,
    artifactType: MEDIA_TYPE.artifact,
  });
  const ofVersions = versions.map((version) =>
    descriptor(version.manifest, {
      [REF_NAME]: versionName(version.channel, version.number),
      [CREATED]: new Date(version.publishedAt).toISOString(),
      ...(version.keep ? { [KEEP]: 'true' } : {}),
      ...Object.fromEntries(Object.entries(version.labels).map(([key, value]) => [`${LABEL_PREFIX}${key}`, value])),
    }),
  );
  const ofChannels = channels.flatMap(({ name, current }) => {
    const version = current === undefined ? undefined : byVersion.get(versionName(name, current));
    return version === undefined ? [] : [descriptor(version.manifest, { [REF_NAME]: name })];
  });
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests: [...ofChannels, ...ofVersions] };
  return `${JSON.stringify(index, undefined, 1)}\n`;
}

/** Replaces index.json by one rename. The caller holds the lock, because the new file has a fixed temporary name. */
export function replaceIndex(root: OwnFolder, text: string, onStep: (step: string) => void): void {
  const made = `${INDEX_FILE}${NEW}`;
  try {
    const fd = root.replaceSync(made, TEXT_MODE);
    try {
      onStep('index.json opened');
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    } finally {
      closeSync(fd);
    }
    onStep('index.json written');
    root.rename(made, root, INDEX_FILE);
  } catch (error) {
    root.unlinkSync(made);
    throw error;
  }
  onStep('index.json renamed');
}
