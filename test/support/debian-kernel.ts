/** Debian's kernel for virtual machines, some of its modules, and a busybox: downloaded, not installed. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The kernel must not be installed: its package's scripts would make an initramfs and change the boot loader. */
const KERNEL_PACKAGE = 'linux-image-cloud-amd64';
const BUSYBOX_PACKAGE = 'busybox-static';
/** The modules that tests load; those that they depend on are kept with them. */
const MODULES = ['virtio_pci', 'virtio_net', 'ip_vs', 'ip_vs_sh'];
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/reveille-firmware/', import.meta.url));

export interface Distribution {
  /** An x86 bzImage. */
  readonly kernel: Buffer;
  /** A statically linked busybox. */
  readonly busybox: Buffer;
  /** MODULES and what they depend on, in an order in which they can be loaded. */
  readonly modules: readonly Buffer[];
}

const cached = (name: string): string => join(CACHE, name);

/** Downloads the files, unless a former run has. Must run outside a test's namespace, which has no route. */
export function provideDistribution(): void {
  if (!['busybox', 'vmlinuz', 'modules'].every((name) => existsSync(cached(name)))) download();
}

/** Reads the files that {@link provideDistribution} has provided. */
export function distribution(): Distribution {
  const modules = readdirSync(cached('modules')).toSorted();
  return {
    kernel: readFileSync(cached('vmlinuz')),
    busybox: readFileSync(cached('busybox')),
    modules: modules.map((name) => readFileSync(join(cached('modules'), name))),
  };
}

function download(): void {
  const folder = mkdtempSync(join(tmpdir(), 'reveille-packages-'));
  try {
    // Archives keep the latest kernel only, so an old list of packages names one that is gone.
    execFileSync('apt-get', ['update', '--quiet=2'], { stdio: 'pipe', encoding: 'utf8' });
    const depends = execFileSync('apt-cache', ['depends', '--important', KERNEL_PACKAGE], { encoding: 'utf8' });
    const kernelPackage = /^ *Depends: (linux-image-\S+)$/m.exec(depends)?.[1];
    if (kernelPackage === undefined) throw new Error(`Expected ${KERNEL_PACKAGE} to depend on a kernel:\n${depends}`);
    const packages = [kernelPackage, BUSYBOX_PACKAGE];
    execFileSync('apt-get', ['download', '--quiet=2', ...packages], { cwd: folder, stdio: 'pipe', encoding: 'utf8' });
    for (const name of packages) unpack(folder, name);
    mkdirSync(CACHE, { recursive: true });
    keep('busybox', readFileSync(join(folder, 'bin/busybox')));
    keepModules(folder);
    keep('vmlinuz', readFileSync(theOne(folder, /^boot\/vmlinuz-/)));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Unpacks a downloaded package in its folder. */
function unpack(folder: string, packageName: string): void {
  const archive = readdirSync(folder).find((file) => file.startsWith(`${packageName}_`))!;
  execFileSync('dpkg-deb', ['--extract', archive, '.'], { cwd: folder, stdio: 'pipe' });
}

/** Returns the path of the one file whose path below the folder matches. */
function theOne(folder: string, pattern: RegExp): string {
  const path = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((file) => pattern.test(file));
  if (path === undefined) throw new Error(`Expected a file ${pattern} in ${KERNEL_PACKAGE}`);
  return join(folder, path);
}

function keep(name: string, content: Buffer): void {
  writeFileSync(cached(`${name}.new`), content);
  renameSync(cached(`${name}.new`), cached(name));
}

function keepModules(folder: string): void {
  const order = new Map<string, Buffer>();
  const builtIn = readFileSync(theOne(folder, /\/modules\.builtin$/), 'utf8').replaceAll('-', '_');
  const add = (name: string): void => {
    if (order.has(name) || builtIn.includes(`/${name}.ko`)) return;
    const file = new RegExp(`/${name.replaceAll('_', '[-_]')}\\.ko$`);
    const module = readFileSync(theOne(folder, file));
    // Strings of the section .modinfo end with zeros.
    const depends = /\0depends=([^\0]*)\0/.exec(module.toString('latin1'))?.[1] ?? '';
    for (const other of depends.split(',')) if (other !== '') add(other.replaceAll('-', '_'));
    order.set(name, module);
  };
  for (const name of MODULES) add(name);
  rmSync(cached('modules.new'), { recursive: true, force: true });
  mkdirSync(cached('modules.new'));
  for (const [index, [name, module]] of [...order].entries()) {
    writeFileSync(join(cached('modules.new'), `${String(index).padStart(2, '0')}-${name}.ko`), module);
  }
  rmSync(cached('modules'), { recursive: true, force: true });
  renameSync(cached('modules.new'), cached('modules'));
}
