/**
 * Where things are in a store, and what they are called there: an OCI image layout with two things beside it, the
 * database and the staging area. Knows paths and constants, reads nothing.
 */
import { join } from 'node:path';

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
    this.ociLayout = join(root, 'oci-layout');
    this.index = join(root, 'index.json');
    this.blobs = join(root, 'blobs', 'sha256');
    this.staging = join(root, 'staging');
    this.state = join(root, 'state.lmdb');
  }

  /** @param digest 64 hex digits. */
  blob(digest: string): string {
    return join(this.blobs, digest);
  }
}

export function isDigest(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}
