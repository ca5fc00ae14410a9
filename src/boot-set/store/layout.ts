/**
 * Paths and names in a store: an OCI image layout, plus the database and the staging area. Knows constants; reads
 * nothing.
 */
import { join } from 'node:path';
import { quote, StoreError } from './store-error.ts';

/** Contents of `oci-layout`, by the OCI image specification 1.1. */
export const OCI_LAYOUT = '{"imageLayoutVersion":"1.0.0"}';
export const MEDIA_TYPE = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  empty: 'application/vnd.oci.empty.v1+json',
  /** Defined by the netboot artifact specification (pulp/netboot-oci-specs), as are `file` and its annotations. */
  artifact: 'application/vnd.org.pulpproject.netboot.artifact.v1',
  file: 'application/x-netboot-file',
} as const;

/** Annotation of a descriptor in index.json that contains its name. */
export const REF_NAME = 'org.opencontainers.image.ref.name';
export const CREATED = 'org.opencontainers.image.created';
export const KEEP = 'io.reveille.keep';
export const LABEL_PREFIX = 'io.reveille.label.';

/** Names of files in the store's own folder. */
export const OCI_LAYOUT_FILE = 'oci-layout';
export const INDEX_FILE = 'index.json';
export const STATE_FILE = 'state.lmdb';
/** LMDB's lock file, locked by every process that has the database open. */
export const LOCK_FILE = `${STATE_FILE}-lock`;

/** Mode of blobs, whatever the umask: server and publisher may run as different users. */
export const BLOB_MODE = 0o444;
/** Mode of oci-layout and index.json. */
export const TEXT_MODE = 0o644;

/** Suffix of files that are written under a temporary name and then renamed. */
export const NEW = '.new';

/** The paths of one store. */
export class Layout {
  readonly root: string;
  readonly ociLayout: string;
  readonly index: string;
  readonly blobs: string;
  readonly staging: string;
  readonly state: string;

  constructor(root: string) {
    this.root = root;
    this.ociLayout = join(root, OCI_LAYOUT_FILE);
    this.index = join(root, INDEX_FILE);
    this.blobs = join(root, 'blobs', 'sha256');
    this.staging = join(root, 'staging');
    this.state = join(root, STATE_FILE);
  }

  /** @throws StoreError when the text is not a digest: anyone may have written the database file. */
  blob(digest: string): string {
    if (!isDigest(digest)) {
      throw new StoreError(`${this.state}: expected digests of 64 hex digits, got ${quote(digest)}`, false);
    }
    return join(this.blobs, digest);
  }
}

export function isDigest(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}
