/**
 * `tsx packaging/image/unpack.ts LAYOUT FOLDER`: unpacks the layers of an image, with owners and file capabilities, as
 * an engine does. Needs root.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { layerFiles } from './layout.ts';

const [, , layout, folder] = process.argv;
if (layout === undefined || folder === undefined) throw new Error('unpack: expected LAYOUT and FOLDER');
mkdirSync(folder, { recursive: true });
const exact = [
  '--same-owner',
  '--numeric-owner',
  '--same-permissions',
  '--xattrs',
  '--xattrs-include=security.capability',
];
for (const file of layerFiles(layout)) {
  execFileSync('tar', ['--extract', '--gzip', '--file', file, '--directory', folder, ...exact], { stdio: 'inherit' });
}
