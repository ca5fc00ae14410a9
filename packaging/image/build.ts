/**
 * `npm run image`: writes the container image to build/image (an OCI image layout), and beside it as one archive with
 * its bill of materials. Needs a build, apt of Debian 12 and npm; neither root nor a container engine.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BUILD } from '../application.ts';
import { withTemporaryFolder } from '../download.ts';
import { makeLayers } from './layers.ts';
import { writeArchive, writeLayout } from './layout.ts';

mkdirSync(BUILD, { recursive: true });
withTemporaryFolder((folder) => {
  const contents = makeLayers(folder);
  const layout = join(BUILD, 'image');
  const name = join(BUILD, `reveille-${contents.version}-image`);
  // An interrupted build must not leave the archive of an older one beside the new layout.
  for (const file of [`${name}.tar`, `${name}.spdx.json`]) rmSync(file, { force: true });
  writeLayout(layout, contents);
  writeArchive(`${name}.tar`, layout, contents);
  writeFileSync(`${name}.spdx.json`, contents.sbom);
  process.stdout.write(`${layout}\n${name}.tar\n${name}.spdx.json\n`);
});
