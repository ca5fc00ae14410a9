/** Generates docs/licenses.md: the licenses of the packages in package-lock.json that a running Reveille loads. */
import { lockedPackages } from './locked-packages.ts';
import { NODE_VERSION } from './node.ts';

const INTRODUCTION = `# Licenses

This page is for operators who must know under which licenses they run and pass on Reveille and the software that it brings
with it.

Reveille is licensed under the [Apache License 2.0](../LICENSE). It loads the npm packages below, each in exactly the version of
package-lock.json when it is installed from a git clone, as a container or as a Debian package. npm may choose newer versions of
packages that Reveille does not name itself. A machine gets the native packages of its own architecture alone. \`npm run licenses\`
generates this page; do not edit it.

`;

const ENDING = `
The container image and the Debian package also contain Node.js ${NODE_VERSION} (MIT). Its LICENSE file, which both contain,
lists the licenses of the libraries inside its binary. Each package has an SBOM (SPDX 2.3) beside it, with the same names,
versions and hashes.

Next: [installing](installing.md).
`;

export function licensesPage(): string {
  const packages = lockedPackages();
  const licenses = [...new Set(packages.map(({ license }) => license))].toSorted();
  const summary = licenses.map((license) => {
    const count = packages.filter((part) => part.license === license).length;
    return `| ${license} | ${count} |`;
  });
  const rows = packages.map(({ name, version, license }) => `| ${name} | ${version} | ${license} |`);
  const tables = [
    '| license | packages |',
    '|---|---|',
    ...summary,
    '',
    '| package | version | license |',
    '|---|---|---|',
    ...rows,
  ];
  return `${INTRODUCTION}${tables.join('\n')}\n${ENDING}`;
}
