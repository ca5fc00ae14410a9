// Builds src into dist. Starts from nothing, so that a file deleted from src does not live on in dist.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
rmSync(new URL('../dist', import.meta.url), { recursive: true, force: true });
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
// The live page: modules for browsers, with a library of their own, and the files beside them.
execFileSync(
  process.execPath,
  [
    'node_modules/typescript/bin/tsc',
    '-p',
    'src/page',
    '--noEmit',
    'false',
    '--allowImportingTsExtensions',
    'false',
    '--rootDir',
    'src',
    '--outDir',
    'dist',
  ],
  { cwd: root, stdio: 'inherit' },
);
const page = new URL('../src/page/', import.meta.url);
for (const name of readdirSync(page)) {
  if (/\.(?:html|css|svg)$/.test(name))
    copyFileSync(new URL(name, page), new URL(`../dist/page/${name}`, import.meta.url));
}
chmodSync(new URL('../dist/cli/main.js', import.meta.url), 0o755);
