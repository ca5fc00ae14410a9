/**
 * The file `copyright` in Debian's machine-readable format 1.0 (DEP-5): the licenses of Reveille, of Node.js and of every
 * bundled module, word for word.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Application } from '../application.ts';

/** A part of the package that has a license of its own. */
interface Part {
  /** Patterns of its files, relative to the root of the system. */
  readonly files: readonly string[];
  readonly holders: readonly string[];
  readonly license: string;
  readonly text: string;
}

const LICENSE_FILE = /^(?:licen[cs]e|copying|copyright)\b/i;
const APACHE = /^\s*Apache License\s*\n\s*Version 2\.0/;
/** Debian wants its own copy of this license named, not another one. */
const APACHE_TEXT = `On Debian systems, the full text of the Apache License 2.0 is in /usr/share/common-licenses/Apache-2.0.`;

/** The lines of a license that name a holder. Those of a form to be filled in, and of the license's own words, do not. */
function holdersIn(text: string): string[] {
  const lines = text.split('\n').map((line) => line.replace(/^[\s*#"/]+/, '').trim());
  const named = lines.filter(
    (line) =>
      /^(?:copyright|©|\(c\))\s/i.test(line) &&
      !/\[yyyy\]|\[name|copyright (?:notice|owner|holder|license)/i.test(line),
  );
  return [...new Set(named)].map((line) => line.replace(/^copyright\s+/i, '').replace(/^(?:\(c\)|©)\s*/i, ''));
}

/** The words of licenses that modules name in package.json without adding the text. */
const TEXTS: Readonly<Record<string, string>> = {
  MIT: `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`,
};

/** A field of several lines: each goes on with a space, and an empty line is a dot. */
function field(name: string, lines: readonly string[]): string {
  return `${name}: ${lines.map((line) => (line.trim() === '' ? '.' : line.trimEnd())).join('\n ')}`;
}

function paragraph({ files, holders, license, text }: Part): string {
  const shown = APACHE.test(text) ? APACHE_TEXT : text.trim();
  return [field('Files', files), field('Copyright', holders), field('License', [license, ...shown.split('\n')])].join(
    '\n',
  );
}

/** The license texts in a module's own folder. */
function licenseText(folder: string): string {
  return readdirSync(folder)
    .filter((name) => LICENSE_FILE.test(name))
    .toSorted()
    .map((name) => readFileSync(join(folder, name), 'utf8').trim())
    .join('\n\n');
}

function authorOf(folder: string): string | undefined {
  const { author } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    author?: string | { readonly name?: string };
  };
  return typeof author === 'string' ? author : author?.name;
}

/** The module whose parts for one platform this one contains; undefined: it is no such part. */
function mainModule(name: string, folder: string, modules: readonly string[]): string | undefined {
  return modules.find((path) => {
    const { optionalDependencies = {} } = JSON.parse(readFileSync(join(folder, path, 'package.json'), 'utf8')) as {
      optionalDependencies?: Readonly<Record<string, string>>;
    };
    return name in optionalDependencies && licenseText(join(folder, path)) !== '';
  });
}

function moduleParts(folder: string, place: string, { packages }: Application): Part[] {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/.test(path))
    .map((path) => path.replace(/\/package\.json$/, ''))
    .toSorted();
  return paths.map((path): Part => {
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const license = packages.find((one) => one.name === name)?.license;
    if (license === undefined) throw new Error(`${path}: expected a license in package-lock.json`);
    const own = licenseText(join(folder, path));
    const main = own === '' ? mainModule(name, folder, paths) : undefined;
    const text = main === undefined ? own || TEXTS[license] : licenseText(join(folder, main));
    if (text === undefined) throw new Error(`${path}: expected a file with its license, ${license}`);
    const holders = holdersIn(text);
    return {
      files: [`${place}/${path}/*`],
      holders: holders.length > 0 ? holders : [authorOf(join(folder, path)) ?? `the authors of ${name}`],
      license,
      text,
    };
  });
}

/**
 * @param folder where application and Node.js are laid.
 * @param place path of that folder in the package, without a slash at its beginning.
 * @returns the text of the file.
 */
export function copyrightText(folder: string, place: string, application: Application): string {
  const own = readFileSync(join(folder, 'LICENSE'), 'utf8');
  const node = join(folder, 'bin/LICENSE');
  if (!existsSync(node)) throw new Error(`${node}: expected the license of Node.js`);
  const parts: Part[] = [
    { files: ['*'], holders: holdersIn(own), license: 'Apache-2.0', text: own },
    {
      files: [`${place}/bin/node`],
      holders: ['Node.js contributors, and the authors of the libraries that the license lists'],
      license: 'Node.js',
      text: readFileSync(node, 'utf8'),
    },
    ...moduleParts(folder, place, application),
  ];
  const head = [
    'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/',
    'Upstream-Name: reveille',
    field('Comment', ['The package bundles Node.js and the modules that the program needs.']),
  ];
  return `${[head.join('\n'), ...parts.map(paragraph)].join('\n\n')}\n`;
}
