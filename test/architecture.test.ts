/** The layer law: which folder may import what. The table in CONTRIBUTING.md and the one here are the same, or this fails. */
import { readFileSync, readdirSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');

interface Law {
  /** Layers, or single files of layers; `all` for any. Its own layer is always allowed. */
  readonly from: readonly string[];
  readonly node: boolean;
  readonly packages: readonly string[];
}

const LAW: Readonly<Record<string, Law>> = {
  'src/protocol': { from: [], node: false, packages: [] },
  'src/session': { from: ['src/protocol'], node: false, packages: [] },
  'src/engine': { from: ['src/protocol', 'src/session'], node: true, packages: ['koffi'] },
  'src/pool': { from: ['src/engine', 'src/session', 'src/protocol'], node: true, packages: ['piscina'] },
  'src/content': {
    from: ['src/engine/shared-bytes.ts', 'src/protocol'],
    node: true,
    packages: ['lmdb', 'lru-cache', 'zod'],
  },
  'src/render': {
    from: ['src/content', 'src/engine/shared-bytes.ts', 'src/protocol'],
    node: true,
    packages: ['liquidjs', 'lru-cache', 'piscina', 'undici', 'yaml', 'zod'],
  },
  'src/client': { from: ['src/engine', 'src/session', 'src/protocol'], node: true, packages: [] },
  'src/server': {
    from: ['src/protocol', 'src/session', 'src/engine', 'src/pool', 'src/content'],
    node: true,
    packages: [],
  },
  'src/storm': {
    from: ['src/protocol', 'src/session', 'src/engine', 'src/pool', 'src/client'],
    node: true,
    packages: ['piscina', 'uplot', 'yaml', 'zod'],
  },
  'src/observe': {
    from: ['src/server', 'src/content', 'src/engine', 'src/session', 'src/storm/figures.ts'],
    node: true,
    packages: [],
  },
  'src/page': {
    from: [
      'src/observe/event-stream.ts',
      'src/observe/live-store.ts',
      'src/observe/plights.ts',
      'src/observe/wire.ts',
      'src/observe/words.ts',
      'src/storm/figures.ts',
    ],
    node: false,
    packages: ['uplot'],
  },
  'src/control': {
    from: ['all'],
    node: true,
    packages: ['@hono/node-server', 'chokidar', 'commander', 'hono', 'pino', 'prom-client', 'yaml', 'zod'],
  },
  'src/library': {
    from: ['src/server', 'src/content', 'src/render', 'src/engine', 'src/session'],
    node: true,
    packages: [],
  },
  'src/index.ts': { from: ['all'], node: false, packages: [] },
};

/** Layers that hold no clocks, no chance, no IO: what they need of those is an argument. */
const PURE = ['src/protocol', 'src/session'];
const IMPURE =
  /\b(?:Date|Math\.random|performance|process|crypto|globalThis|global|Buffer|fetch|setTimeout|setInterval|setImmediate|queueMicrotask|structuredClone|Atomics|SharedArrayBuffer)\b/g;
const MOST_LINES = 400;
/** Whose business it is to load modules of the user's, by a name that is not known here. */
const LOADS_HANDLERS = 'src/render/handler.ts';

/** Source text without comments; strings stay. */
function withoutComments(text: string): string {
  const token = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\/.*|\/\*[\s\S]*?\*\//g;
  return text.replace(token, (found) => (found.startsWith('/') ? ' ' : found));
}

/** What the text imports: static and dynamic imports, re-exports, types. `?` stands for what can't be read off. */
function importsOf(text: string): string[] {
  const code = withoutComments(text);
  const patterns = [
    /\b(?:import|export)\b[^'";]*?\bfrom\s*['"]([^'"]+)['"]/g,
    /\bimport\s*['"]([^'"]+)['"]/g,
    /\b(?:import|require)\s*\(\s*['"]([^'"]+)['"]/g,
  ];
  const found = patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1]!));
  // What createRequire returns must be called `require`, or its calls would go unseen.
  const unseen = /\bcreateRequire\s*\(/.test(code.replaceAll(/\bconst require = createRequire\(/g, ''));
  if (unseen || /\b(?:import|require)\s*\(\s*[^'"\s]/.test(code)) found.push('?');
  return found;
}

function layerOf(path: string): string | undefined {
  return Object.keys(LAW).find((layer) => path === layer || path.startsWith(`${layer}/`));
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** What `path`, a file with that text, does against the law. */
function breachesIn(path: string, text: string): string[] {
  const layer = layerOf(path);
  if (layer === undefined) return [`${path}: is in no layer`];
  const law = LAW[layer]!;
  const breaches: string[] = [];
  for (const specifier of importsOf(text)) {
    if (specifier.startsWith('.')) {
      const target = relative(ROOT, resolve(ROOT, dirname(path), specifier))
        .split(sep)
        .join('/');
      const allowed =
        law.from.includes('all') ||
        [layer, ...law.from].some((place) => target === place || target.startsWith(`${place}/`));
      if (!allowed || layerOf(target) === undefined) breaches.push(`${path}: imports ${target}`);
    } else if (specifier.startsWith('node:') || builtinModules.includes(specifier)) {
      if (!law.node) breaches.push(`${path}: imports ${specifier}`);
    } else if (specifier === '?' && path === LOADS_HANDLERS) {
      // Allowed.
    } else if (!law.packages.includes(packageOf(specifier))) {
      breaches.push(`${path}: imports ${specifier}`);
    }
  }
  if (PURE.includes(layer)) {
    const impure = new Set(withoutComments(text).match(IMPURE));
    for (const word of impure) breaches.push(`${path}: uses ${word}`);
  }
  return breaches;
}

function sources(): { path: string; text: string }[] {
  return readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => {
      const path = `src/${name.split(sep).join('/')}`;
      return { path, text: readFileSync(join(ROOT, path), 'utf8') };
    });
}

/** The words in backticks in a cell of a Markdown table. */
function quoted(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
}

/** The table under the heading "The layer law". */
function documentedLaw(): Record<string, Law> {
  const text = readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8');
  const section = text.split('\n## ').find((part) => part.startsWith('The layer law\n'));
  const rows = (section ?? '')
    .split('\n')
    .filter((line) => line.startsWith('| `src/'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  return Object.fromEntries(
    rows.map(([layer, , from, node, packages]) => {
      const law: Law = {
        from: from === 'all' ? ['all'] : quoted(from!),
        node: node === 'yes',
        packages: quoted(packages!),
      };
      return [quoted(layer!)[0]!, law];
    }),
  );
}

function sorted(law: Readonly<Record<string, Law>>): unknown {
  return Object.fromEntries(
    Object.entries(law).map(([layer, { from, node, packages }]) => [
      layer,
      { from: from.toSorted(), node, packages: packages.toSorted() },
    ]),
  );
}

describe('the layers of src', () => {
  const files = sources();

  it('are all there', () => {
    expect(new Set(files.map(({ path }) => layerOf(path)))).toEqual(new Set(Object.keys(LAW)));
  });

  it('import only what the layer law allows', () => {
    expect(files.flatMap(({ path, text }) => breachesIn(path, text))).toEqual([]);
  });

  it('have the law that CONTRIBUTING.md shows', () => {
    expect(sorted(documentedLaw())).toEqual(sorted(LAW));
  });

  it('use every package that package.json lists, and no other', () => {
    const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
      optionalDependencies: Record<string, string>;
    };
    const used = files.flatMap(({ text }) =>
      importsOf(text)
        .filter((specifier) => !/^(?:\.|node:|\?)/.test(specifier))
        .map(packageOf),
    );
    expect([...new Set(used)].toSorted()).toEqual(Object.keys({ ...dependencies, ...optionalDependencies }).toSorted());
  });

  it('have a header comment in every file', () => {
    const bare = files.filter(({ text }) => !/^(?:#![^\n]*\n)?\/\*\*[\s\S]{20,}?\*\//.test(text));
    expect(bare.map(({ path }) => path)).toEqual([]);
  });

  it(`have no file of more than ${MOST_LINES} lines`, () => {
    const long = files.filter(({ text }) => text.trimEnd().split('\n').length > MOST_LINES);
    expect(long.map(({ path }) => path)).toEqual([]);
  });
});

describe('a breach of the layer law', () => {
  it.each([
    ['a static import', 'src/protocol/x.ts', "import { Sender } from '../session/sender.ts';"],
    ['an import over several lines', 'src/protocol/x.ts', "import {\n  type A,\n  b,\n} from '../session/sender.ts';"],
    ['a type import', 'src/session/x.ts', "import type { Engine } from '../engine/types.ts';"],
    ['a re-export', 'src/engine/x.ts', "export * from '../pool/pool.ts';"],
    ['a type re-export', 'src/engine/x.ts', "export type { Pool } from '../pool/pool.ts';"],
    ['an import for its effects', 'src/client/x.ts', "import '../server/server.ts';"],
    ['a dynamic import', 'src/pool/x.ts', "const gate = await import('../server/gate.ts');"],
    ['a type of an import', 'src/content/x.ts', "let engine: import('../engine/types.ts').Engine;"],
    ['a dynamic import of who knows what', 'src/server/x.ts', 'await import(name);'],
    ['a require', 'src/server/x.ts', "require('../control/log.ts');"],
    ['a require of who knows what', 'src/server/x.ts', 'require(name);'],
    ['a require by another name', 'src/server/x.ts', 'const load = createRequire(import.meta.url);'],
    ['a neighbour of an allowed file', 'src/content/x.ts', "import { TimerWheel } from '../engine/timer-wheel.ts';"],
    ['a folder with an allowed beginning', 'src/session/x.ts', "import { a } from '../protocol-extra/a.ts';"],
    ['a module of Node', 'src/session/x.ts', "import { join } from 'node:path';"],
    ['a module of Node without its prefix', 'src/protocol/x.ts', "import { join } from 'path';"],
    ['a package', 'src/engine/x.ts', "import { Piscina } from 'piscina';"],
    ['a package by a subpath', 'src/server/x.ts', "import { serve } from '@hono/node-server/conninfo';"],
    ['a layer without a law', 'src/elsewhere/x.ts', ''],
    ['an import that leaves src', 'src/control/x.ts', "import { x } from '../../test/x.ts';"],
    ['a clock in a session', 'src/session/x.ts', 'const now = Date.now();'],
    ['another clock in a session', 'src/session/x.ts', 'const now = performance.now();'],
    ['chance in a session', 'src/session/x.ts', 'const jitter = Math.random();'],
    ['a timer in the protocol', 'src/protocol/x.ts', 'setTimeout(() => {}, 1);'],
  ])('is found: %s', (_, path, text) => {
    expect(breachesIn(path, text)).toHaveLength(1);
  });

  it.each([
    ['in a comment', 'src/protocol/x.ts', "// import { a } from '../session/a.ts';\n/* performance.now() */"],
    ['within its own layer', 'src/protocol/x.ts', "import { a } from './a.ts';"],
    ['of a layer below', 'src/pool/x.ts', "import type { Sender } from '../session/sender.ts';"],
    ['of the one file allowed', 'src/content/x.ts', "import { shareBytes } from '../engine/shared-bytes.ts';"],
    ['of its own package', 'src/pool/x.ts', "import { Piscina } from 'piscina';"],
  ])('is not an import %s', (_, path, text) => {
    expect(breachesIn(path, text)).toEqual([]);
  });
});
