/** Choice of the files that a package of one platform contains. */
import { expect, it } from 'vitest';
import { isNeeded } from '../../packaging/application.ts';

const KOFFI = 'node_modules/@koromix/koffi-linux-x64';
const LMDB = 'node_modules/@lmdb/lmdb-linux-x64';

it.each([
  [
    'glibc',
    [`${KOFFI}/linux_x64/koffi.node`, `${LMDB}/node.napi.glibc.node`, 'node_modules/a/nice.linux-x64-gnu.node'],
  ],
  ['musl', [`${KOFFI}/musl_x64/koffi.node`, `${LMDB}/node.napi.musl.node`, 'node_modules/a/nice.linux-x64-musl.node']],
] as const)('takes the native modules for %s, for any Node.js', (libc, wanted) => {
  const files = [
    `${KOFFI}/linux_x64/koffi.node`,
    `${KOFFI}/musl_x64/koffi.node`,
    `${LMDB}/node.napi.glibc.node`,
    `${LMDB}/node.napi.musl.node`,
    `${LMDB}/node.abi127.glibc.node`,
    `${LMDB}/node.abi127.musl.node`,
    'node_modules/a/nice.linux-x64-gnu.node',
    'node_modules/a/nice.linux-x64-musl.node',
  ];
  expect(files.filter((path) => isNeeded(path, { arch: 'x64', libc }))).toEqual(wanted);
});

it('keeps scripts, pages and licenses, and leaves out sources, types, maps and documents', () => {
  const files = {
    'dist/cli/main.js': true,
    'dist/cli/main.js.map': false,
    'dist/index.d.ts': false,
    'dist/build.json': true,
    'dist/page/index.html': true,
    'dist/page/page.css': true,
    'node_modules/a/index.cjs': true,
    'node_modules/a/README.md': false,
    'node_modules/pino/index.html': false,
    'node_modules/a/LICENSE': true,
    'node_modules/a/license.md': true,
    'node_modules/a/src/a.cc': false,
    'node_modules/a/Makefile': false,
  };
  const kept = Object.keys(files).map((path) => [path, isNeeded(path, { arch: 'x64', libc: 'glibc' })]);
  expect(Object.fromEntries(kept)).toEqual(files);
});

it('leaves out what only the developers of a module use, such as records with paths of their machines', () => {
  const files = {
    'node_modules/ordered-binary/.nyc_output/processinfo/5b6bd808.json': false,
    'node_modules/ordered-binary/.claude/worktrees/a/package-lock.json': false,
    'node_modules/pino/test/basic.test.js': false,
    'node_modules/pino/benchmarks/basic.bench.js': false,
    'node_modules/piscina/test-jest/jest.config.js': false,
    'node_modules/@pinojs/redact/examples/a.js': false,
    'node_modules/a/node_modules/b/fixtures/a.js': false,
    'node_modules/hono/dist/helper/testing/index.js': true,
    'node_modules/yaml/dist/test/index.js': true,
    'node_modules/test/index.js': true,
    'dist/test/index.js': true,
  };
  const kept = Object.keys(files).map((path) => [path, isNeeded(path, { arch: 'x64', libc: 'glibc' })]);
  expect(Object.fromEntries(kept)).toEqual(files);
});
