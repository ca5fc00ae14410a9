/** The Debian packages of shared libraries that programs need, from the versions of the symbols that they use. */
import { neededVersions } from './elf.ts';

/**
 * GCC's release for each version of libstdc++'s symbols, which Debian's package is named after ("ABI Policy and
 * Guidelines" of GCC's manual). Versions below 3.4.21 came before GCC 5, which is older than any Debian in use.
 */
const GCC_OF_GLIBCXX: Readonly<Record<string, string>> = {
  '3.4.21': '5',
  '3.4.22': '6',
  '3.4.23': '7',
  '3.4.24': '7.2',
  '3.4.25': '8',
  '3.4.26': '9',
  '3.4.27': '9.2',
  '3.4.28': '9.3',
  '3.4.29': '11',
  '3.4.30': '12',
  '3.4.31': '13.1',
  '3.4.32': '13.2',
  '3.4.33': '14',
};

/** Libraries of Debian's package libc6. */
const LIBC = /^(?:lib(?:c|m|dl|pthread|rt)\.so\.\d|ld-linux-.*\.so\.\d)$/;

function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

/** The newest of the versions that begin with a prefix, without it. */
function newest(versions: readonly string[], prefix: string): string | undefined {
  return versions
    .filter((version) => version.startsWith(prefix) && /^\d/.test(version.slice(prefix.length)))
    .map((version) => version.slice(prefix.length))
    .toSorted(compareVersions)
    .at(-1);
}

function gccOf(version: string): string {
  if (compareVersions(version, '3.4.21') < 0) return '5';
  const gcc = GCC_OF_GLIBCXX[version];
  if (gcc === undefined) throw new Error(`GLIBCXX_${version}: expected a version that library-dependencies.ts lists`);
  return gcc;
}

/**
 * @param files contents of the program and of the native modules that it loads.
 * @returns the items of the field Depends.
 * @throws {Error} for a library that is in no package known here.
 */
export function libraryDependencies(files: readonly Buffer[]): string[] {
  const found = files.flatMap((file) => [...neededVersions(file)]);
  const versionsOf = (library: (name: string) => boolean): string[] =>
    found.filter(([name]) => library(name)).flatMap(([, versions]) => [...versions]);
  const strange = found.find(([name]) => !LIBC.test(name) && !/^lib(?:stdc\+\+|gcc_s)\.so\./.test(name));
  if (strange !== undefined) throw new Error(`${strange[0]}: expected a library of libc6, libgcc-s1 or libstdc++6`);
  const glibc = newest(
    versionsOf((name) => LIBC.test(name)),
    'GLIBC_',
  );
  const glibcxx = newest(
    versionsOf((name) => name.startsWith('libstdc++')),
    'GLIBCXX_',
  );
  const hasGcc = versionsOf((name) => name.startsWith('libgcc_s')).length > 0;
  return [
    ...(glibc === undefined ? [] : [`libc6 (>= ${glibc})`]),
    ...(hasGcc ? ['libgcc-s1'] : []),
    ...(glibcxx === undefined ? [] : [`libstdc++6 (>= ${gccOf(glibcxx)})`]),
  ];
}
