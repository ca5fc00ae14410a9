/**
 * Names of boot sets in a registry: `oci://HOST[:PORT]/REPOSITORY[:TAG]` or `…@sha256:DIGEST`. Follows the grammar of
 * the OCI distribution specification 1.1. Works on text alone.
 */
import { isDigest } from '../boot-set/store/layout.ts';
import { quote, StoreError } from '../boot-set/store/store-error.ts';

/** @limit Length of a repository's name, characters. Shows: an error message. */
const MAX_REPOSITORY_CHARACTERS = 255;
const DEFAULT_TAG = 'latest';

/** A registry reached over plain HTTP has a scheme of its own, so that nobody sends a password in clear by accident. */
const SCHEMES: Readonly<Record<string, string>> = { 'oci://': 'https://', 'oci+http://': 'http://' };
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?$/;
const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

export interface Reference {
  /** Origin of the registry, such as `https://registry.example`. */
  readonly origin: string;
  /** Host and port as written: the key of its credentials. */
  readonly host: string;
  readonly repository: string;
  /** A tag, or `sha256:` and 64 hex digits. */
  readonly target: string;
  /** The whole name, for messages. */
  readonly text: string;
}

const EXAMPLE = 'oci://registry.example/boot/install:stable';
export const EXPECTED_REFERENCE = `a name such as ${EXAMPLE}`;

/** Returns true when the text can be the name of a repository. */
export function isRepository(text: string): boolean {
  return text.length <= MAX_REPOSITORY_CHARACTERS && REPOSITORY.test(text);
}

/** Returns the reference to other content of the same repository. @param target tag, or digest with its algorithm. */
export function withTarget(reference: Reference, target: string): Reference {
  const { origin, host, repository } = reference;
  const scheme = Object.entries(SCHEMES).find(([, web]) => origin.startsWith(web))![0];
  const text = `${scheme}${host}/${repository}${target.startsWith('sha256:') ? '@' : ':'}${target}`;
  return { ...reference, target, text };
}

/** Returns a URL for a message: neither a password in it nor the signature in its query may be shown. */
export function withoutUser({ protocol, host, pathname, username, password }: URL): string {
  const user = username === '' && password === '' ? '' : '...@';
  return `${protocol}//${user}${host}${pathname}`;
}

/** @throws StoreError with one line, which repeats no password that stands in the name. */
export function parseReference(text: string): Reference {
  const scheme = Object.keys(SCHEMES).find((one) => text.startsWith(one));
  if (scheme === undefined) throw new StoreError(`expected ${EXPECTED_REFERENCE}, got ${quote(text)}`);
  const slash = text.indexOf('/', scheme.length);
  const host = text.slice(scheme.length, slash < 0 ? undefined : slash);
  if (host.includes('@')) {
    throw new StoreError(`expected ${EXPECTED_REFERENCE}, without a user: credentials belong to a file of their own`);
  }
  if (slash < 0 || !HOST.test(host) || !URL.canParse(`${SCHEMES[scheme]}${host}`)) {
    throw new StoreError(`${quote(text)}: expected a host and a repository, as in ${EXAMPLE}`);
  }
  const [named = '', digest, ...more] = text.slice(slash + 1).split('@');
  const colon = named.indexOf(':');
  const repository = colon < 0 ? named : named.slice(0, colon);
  if (!isRepository(repository)) {
    throw new StoreError(
      `${quote(text)}: expected a repository in lower case: letters, digits and . _ - between them, in parts separated by /`,
    );
  }
  const tag = colon < 0 ? DEFAULT_TAG : named.slice(colon + 1);
  if (!TAG.test(tag)) {
    throw new StoreError(`${quote(text)}: expected a tag of at most 128 letters, digits and . _ -`);
  }
  if (digest !== undefined && (more.length > 0 || !digest.startsWith('sha256:') || !isDigest(digest.slice(7)))) {
    throw new StoreError(`${quote(text)}: expected sha256: and 64 hex digits behind @`);
  }
  return { origin: new URL(`${SCHEMES[scheme]}${host}`).origin, host, repository, target: digest ?? tag, text };
}
