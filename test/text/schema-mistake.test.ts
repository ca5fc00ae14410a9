/** Input that a schema refuses is reported in one line of our words: where, what was expected, what was there. */
import { describe, expect, it } from 'vitest';
import { parseManifest } from '../../src/boot-set/store/read-manifest.ts';
import { readRoutes } from '../../src/render/route-config.ts';
import type { RouteConfig } from '../../src/render/types.ts';

const LAYER = {
  mediaType: 'application/x-netboot-file',
  digest: `sha256:${'0'.repeat(64)}`,
  size: 1,
  annotations: { 'org.opencontainers.image.title': 'linux' },
};

describe('a mistake in a manifest', () => {
  it.each<[string, unknown, string]>([
    ['another kind', [], 'the manifest: expected a map of keys, got an empty list'],
    ['another version', { schemaVersion: 1, layers: [LAYER] }, 'schemaVersion: expected 2, got 1'],
    ['no files', { schemaVersion: 2, layers: [] }, 'layers: expected at least 1 entry, got an empty list'],
    [
      'no digest',
      { schemaVersion: 2, layers: [{ ...LAYER, digest: 'x\n' }] },
      'layers[1].digest: expected sha256: and 64 hex digits, got "x\\x0a"',
    ],
    [
      'a negative size',
      { schemaVersion: 2, layers: [{ ...LAYER, size: -1 }] },
      'layers[1].size: expected at least 0, got -1',
    ],
  ])('is named: %s', (_, manifest, line) => {
    expect(parseManifest(JSON.stringify(manifest))).toBe(line);
  });
});

describe('a mistake in the routes of templates()', () => {
  it.each<[unknown, string]>([
    [{ match: 1, empty: true }, 'match: expected text, got 1'],
    [{ match: 'a', templat: 'x' }, 'templat: expected a known key (did you mean template?), got an unknown key'],
    [{ match: 'a', empty: false }, 'empty: expected true, got false'],
    [{ match: 'a', template: '' }, 'template: expected at least 1 character, got ""'],
    [{ match: 'a', template: 'x', timeoutMs: 0.5 }, 'timeoutMs: expected a whole number, got 0.5'],
    [{ match: 'a', upstream: 'x', redirects: 6 }, 'redirects: expected at most 5, got 6'],
  ])('is named: %j', (route, line) => {
    expect(() => readRoutes([route as RouteConfig])).toThrow(`route 1: ${line}`);
  });
});
