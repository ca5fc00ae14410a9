/** The command when its optional dependency could not be installed. */
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { seededBytes } from '../support/content.ts';
import { folder, Reveille } from '../support/reveille.ts';

const PROJECT = fileURLToPath(new URL('../../', import.meta.url));

/** Copies the package with everything in node_modules except koffi. @returns the copy's command. */
function installWithoutKoffi(): string {
  const place = folder();
  cpSync(join(PROJECT, 'dist'), join(place, 'dist'), { recursive: true });
  cpSync(join(PROJECT, 'package.json'), join(place, 'package.json'));
  const modules = join(place, 'node_modules');
  mkdirSync(modules);
  for (const name of readdirSync(join(PROJECT, 'node_modules'))) {
    if (name !== 'koffi') symlinkSync(join(PROJECT, 'node_modules', name), join(modules, name));
  }
  return join(place, 'dist', 'cli', 'main.js');
}

it('uses the portable engine if koffi is missing, and logs it', async () => {
  const root = folder();
  const here = folder();
  const bytes = seededBytes(1, 300_001);
  writeFileSync(join(root, 'linux'), bytes);
  const args = ['serve', root, '--listen', '127.0.0.1:0', '--no-admin', '--workers', '1'];
  const server = new Reveille(args, { main: installWithoutKoffi() });
  const [warning] = await server.saying(/^.*"msg":"the portable engine is used".*$/m);
  expect(JSON.parse(warning)).toMatchObject({ level: 'warn', reason: expect.stringContaining("'koffi'") as string });
  const [line] = await server.saying(/^.*"msg":"listening".*$/m);
  const { addresses, engine } = JSON.parse(line) as { addresses: string[]; engine: string };
  expect(engine).toBe('portable');

  const { code } = await new Reveille(['get', `tftp://${addresses[0]}/linux`], { cwd: here }).ended;
  expect(code).toBe(0);
  expect(readFileSync(join(here, 'linux')).equals(bytes)).toBe(true);
  server.process.kill('SIGTERM');
  expect((await server.ended).code).toBe(0);
});
