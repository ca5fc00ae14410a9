/**
 * Where things are in a store, and what they are called there: an OCI image layout with two things beside it, the
 * database and the staging area. Knows paths and constants, reads nothing.
 */
import { join } from 'node:path';
import { quote, StoreError } from './store-error.ts';

/** What `oci-layout` holds, by the OCI image specification 1.1. */
export const OCI_LAYOUT = '{"imageLayoutVersion":"1.0.0"}';
export const MEDIA_TYPE = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  empty: 'application/vnd.oci.empty.v1+json',
  /** Of the netboot artifact specification (pulp/netboot-oci-specs), as are the next and its annotations. */
  artifact: 'application/vnd.org.pulpproject.netboot.artifact.v1',
  file: 'application/x-netboot-file',
} as const;

/** The annotation of a descriptor in index.json that holds its name. */
export const REF_NAME = 'org.opencontainers.image.ref.name';
export const CREATED = 'org.opencontainers.image.created';
export const KEEP = 'io.reveille.keep';
export const LABEL_PREFIX = 'io.reveille.label.';

/** The names of files in the store's own folder. */
export const OCI_LAYOUT_FILE = 'oci-layout';
export const INDEX_FILE = 'index.json';
export const STATE_FILE = 'state.lmdb';
/** LMDB's own: who has the database open. */
export const LOCK_FILE = `${STATE_FILE}-lock`;

/** What blobs have, whatever the umask is: a server may run as another user than who publishes. */
export const BLOB_MODE = 0o444;
/** What oci-layout and index.json have. */
export const TEXT_MODE = 0o644;

/** Files that are written under this name first and then renamed. */
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

  /** @throws StoreError for what is no digest: the database is a file that anybody may have written. */
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
