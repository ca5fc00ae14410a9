/**
 * Checks the map of folders in CONTRIBUTING.md against the tree, and the imports against its layer law. The table there
 * is the law; nothing here repeats it.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');

interface Law {
  /** Layers that this layer may import; `all` stands for any layer. A layer may always import itself. */
  readonly from: readonly string[];
  readonly node: boolean;
  readonly packages: readonly string[];
}

interface SourceFile {
  readonly path: string;
  readonly text: string;
}

const LAW = documentedLaw();
/** Layers without clocks, randomness or IO: their callers pass these in as arguments. */
const PURE = ['src/protocol', 'src/session'];
const IMPURE =
  /\b(?:Date|Math\.random|performance|process|crypto|globalThis|global|Buffer|fetch|setTimeout|setInterval|setImmediate|queueMicrotask|structuredClone|Atomics|SharedArrayBuffer)\b/g;
/** Layers that run in a browser. */
const PAGES = ['src/page', 'src/storm/page'];
const MAX_LINES = 400;
const MAX_FILES_IN_FOLDER = 25;
/** Folders of files that people read and change; TEXT_FILES matches the names of such files. */
const HANDWRITTEN = ['src', 'test', 'bench', 'grafana/src', 'packaging', 'scripts'];
const TEXT_FILES = /\.(?:ts|mjs|js|css|html|c)$/;
/** Folders of tests that mirror no folder of src. */
const OTHER_TESTS = [
  'test',
  'test/bench',
  'test/clients',
  'test/examples',
  'test/grafana',
  'test/load',
  'test/packaging',
];
/** The only file that loads user modules, whose names are not known here. */
const LOADS_HANDLERS = 'src/render/handler.ts';

/** Rows of CONTRIBUTING.md's tables that begin with `start`, cell by cell. */
function documentedRows(start: string): string[][] {
  return readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith(start))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

/** The words in backticks in a cell of a Markdown table. */
function quoted(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
}

function documentedLaw(): Readonly<Record<string, Law>> {
  return Object.fromEntries(
    documentedRows('| [`src/').map(([layer, , from, node, packages]) => [
      quoted(layer!)[0]!,
      { from: from === 'all' ? ['all'] : quoted(from!), node: node === 'yes', packages: quoted(packages!) },
    ]),
  );
}

/** Source text without comments; strings are kept. */
function withoutComments(text: string): string {
  const token = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\/.*|\/\*[\s\S]*?\*\//g;
  return text.replace(token, (found) => (found.startsWith('/') ? ' ' : found));
}

/**
 * Specifiers that the text imports: static and dynamic imports, re-exports, types. `?` stands for an import whose
 * specifier is not a literal.
 */
function importsOf(text: string): string[] {
  const code = withoutComments(text);
  const patterns = [
    /\b(?:import|export)\b[^'";]*?\bfrom\s*['"]([^'"]+)['"]/g,
    /\bimport\s*['"]([^'"]+)['"]/g,
    /\b(?:import|require)\s*\(\s*['"]([^'"]+)['"]/g,
  ];
  const found = patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1]!));
  // The result of createRequire must be called `require`; otherwise its calls would go unseen.
  const unseen = /\bcreateRequire\s*\(/.test(code.replaceAll(/\bconst require = createRequire\(/g, ''));
  if (unseen || /\b(?:import|require)\s*\(\s*[^'"\s]/.test(code)) found.push('?');
  return found;
}

/** Layer of a file: the innermost folder that has a row in the table. */
function layerOf(path: string): string | undefined {
  return Object.keys(LAW)
    .filter((layer) => path === layer || path.startsWith(`${layer}/`))
    .toSorted((a, b) => b.length - a.length)[0];
}

/** File that a relative import in the file at `path` names. */
function targetOf(path: string, specifier: string): string {
  return relative(ROOT, resolve(ROOT, dirname(path), specifier))
    .split(sep)
    .join('/');
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** Breaches of the law in `path`, a file with that text. */
function breachesIn(path: string, text: string): string[] {
  const layer = layerOf(path);
  if (layer === undefined) return [`${path}: is in no layer`];
  const law = LAW[layer]!;
  const breaches: string[] = [];
  for (const specifier of importsOf(text)) {
    if (specifier.startsWith('.')) {
      const target = targetOf(path, specifier);
      const from = layerOf(target);
      const allowed = from !== undefined && (law.from.includes('all') || [layer, ...law.from].includes(from));
      if (!allowed) breaches.push(`${path}: imports ${target}`);
    } else if (specifier.startsWith('node:') || builtinModules.includes(specifier)) {
      if (!law.node) breaches.push(`${path}: imports ${specifier}`);
    } else if (specifier === '?' && path === LOADS_HANDLERS) {
      // Handlers are user modules with names unknown here.
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

function filesBelow(folder: string, endings: RegExp): SourceFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => endings.test(name))
    .map((name) => {
      const path = `${folder}/${name.split(sep).join('/')}`;
      return { path, text: readFileSync(join(ROOT, path), 'utf8') };
    });
}

function importedFiles({ path, text }: SourceFile): string[] {
  return importsOf(text)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => targetOf(path, specifier));
}

/** @returns a circle along the edges, with its first name repeated at the end; undefined if there is no circle. */
function circleIn(edges: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const finished = new Set<string>();
  const visit = (name: string, trail: readonly string[]): readonly string[] | undefined => {
    if (trail.includes(name)) return [...trail.slice(trail.indexOf(name)), name];
    if (finished.has(name)) return undefined;
    for (const next of edges.get(name) ?? []) {
      const found = visit(next, [...trail, name]);
      if (found !== undefined) return found;
    }
    finished.add(name);
    return undefined;
  };
  for (const name of edges.keys()) {
    const found = visit(name, []);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Files that a browser loads with a page. */
function loadedByPages(files: readonly SourceFile[]): SourceFile[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const waiting = files.filter(({ path }) => PAGES.includes(layerOf(path)!));
  const loaded = new Set(waiting);
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    for (const path of importedFiles(file)) {
      const next = byPath.get(path)!;
      if (!loaded.has(next)) waiting.push(next);
      loaded.add(next);
    }
  }
  return [...loaded];
}

describe('the map of folders', () => {
  it('names every folder of the project', () => {
    const folders = readdirSync(ROOT, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !/^(?:\..*|node_modules|dist|build|coverage)$/.test(entry.name))
      .map(({ name }) => name);
    const documented = documentedRows('| [').flatMap(([cell]) => /^\[([a-z]+)\]\(/.exec(cell!)?.[1] ?? []);
    expect(documented.toSorted()).toEqual(folders.toSorted());
  });

  it('names every folder of src that has files of its own', () => {
    const folders = new Set(filesBelow('src', TEXT_FILES).map(({ path }) => dirname(path)));
    const layers = Object.keys(LAW).map((layer) => (layer.endsWith('.ts') ? dirname(layer) : layer));
    // The Linux engine belongs to the layer src/engine.
    expect([...layers, 'src/engine/linux', 'src/engine/linux/single-port'].toSorted()).toEqual([...folders].toSorted());
  });

  it('has rooms of the same names for tests', () => {
    const folders = new Set(filesBelow('test', /\.test\.ts$/).map(({ path }) => dirname(path)));
    const strangers = [...folders].filter(
      (path) => !OTHER_TESTS.includes(path) && !(path.replace('test', 'src') in LAW),
    );
    expect(strangers).toEqual([]);
  });
});

describe('the layers of src', () => {
  const files = filesBelow('src', /\.ts$/);

  it('import only what the layer law allows', () => {
    expect(files.flatMap(({ path, text }) => breachesIn(path, text))).toEqual([]);
  });

  it('are allowed whole layers, never single files', () => {
    const allowed = Object.values(LAW).flatMap(({ from }) => from.filter((layer) => layer !== 'all'));
    expect(allowed.filter((layer) => !(layer in LAW) || layer.endsWith('.ts'))).toEqual([]);
  });

  it('form no circle', () => {
    const layers = Object.keys(LAW);
    const edges = Object.entries(LAW).map(
      ([layer, { from }]) => [layer, from.includes('all') ? layers.filter((other) => other !== layer) : from] as const,
    );
    // The package's entry point may import every layer; no layer imports it.
    const inner = edges.filter(([layer]) => layer !== 'src/index.ts');
    expect(
      circleIn(new Map(inner.map(([layer, from]) => [layer, from.filter((other) => other !== 'src/index.ts')]))),
    ).toBe(undefined);
  });

  it('have no circle of files', () => {
    expect(circleIn(new Map(files.map((file) => [file.path, importedFiles(file)])))).toBe(undefined);
  });

  it('bring nothing of Node.js into a browser', () => {
    const foreign = loadedByPages(files).flatMap(({ path, text }) =>
      importsOf(text)
        .filter((specifier) => !specifier.startsWith('.') && specifier !== 'uplot')
        .map((specifier) => `${path}: imports ${specifier}`),
    );
    expect(foreign).toEqual([]);
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

  it(`have at most ${MAX_FILES_IN_FOLDER} files in a folder`, () => {
    const counts = new Map<string, number>();
    for (const entry of readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) counts.set(entry.parentPath, (counts.get(entry.parentPath) ?? 0) + 1);
    }
    expect([...counts].filter(([, count]) => count > MAX_FILES_IN_FOLDER)).toEqual([]);
  });
});

describe('a file written by hand', () => {
  it(`has at most ${MAX_LINES} lines`, () => {
    const files = HANDWRITTEN.flatMap((folder) => filesBelow(folder, TEXT_FILES));
    const long = files.filter(({ text }) => text.trimEnd().split('\n').length > MAX_LINES);
    expect(long.map(({ path }) => path)).toEqual([]);
  });
});

describe('a circle', () => {
  it.each([
    ['of two', { a: ['b'], b: ['a'] }, ['a', 'b', 'a']],
    ['behind a straight way', { a: ['b'], b: ['c'], c: ['b'] }, ['b', 'c', 'b']],
    ['of one', { a: ['a'] }, ['a', 'a']],
  ])('is found: %s', (_, edges, circle) => {
    expect(circleIn(new Map(Object.entries(edges)))).toEqual(circle);
  });

  it('is not reported for two paths to one file', () => {
    expect(circleIn(new Map(Object.entries({ a: ['b', 'c'], b: ['d'], c: ['d'] })))).toBe(undefined);
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
    ['a require', 'src/server/x.ts', "require('../telemetry/log.ts');"],
    ['a require of who knows what', 'src/server/x.ts', 'require(name);'],
    ['a require by another name', 'src/server/x.ts', 'const load = createRequire(import.meta.url);'],
    ['a room above its own', 'src/boot-set/node/x.ts', "import { BootSets } from '../boot-sets.ts';"],
    ['a room beside its own', 'src/boot-set/node/x.ts', "import { pinOf } from '../boot/pins.ts';"],
    ['a folder with an allowed beginning', 'src/session/x.ts', "import { a } from '../protocol-extra/a.ts';"],
    ['a module of Node.js', 'src/session/x.ts', "import { join } from 'node:path';"],
    ['a module of Node.js without its prefix', 'src/protocol/x.ts', "import { join } from 'path';"],
    ['a package', 'src/engine/x.ts', "import { Piscina } from 'piscina';"],
    ['a package by a subpath', 'src/server/x.ts', "import { serve } from '@hono/node-server/conninfo';"],
    ['a layer without a law', 'src/elsewhere/x.ts', ''],
    ['an import that leaves src', 'src/cli/x.ts', "import { x } from '../../test/x.ts';"],
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
    ['of a room within its own that its row names', 'src/boot-set/x.ts', "import { pinOf } from './boot/pins.ts';"],
    ['of its own package', 'src/pool/x.ts', "import { Piscina } from 'piscina';"],
  ])('is not an import %s', (_, path, text) => {
    expect(breachesIn(path, text)).toEqual([]);
  });
});
