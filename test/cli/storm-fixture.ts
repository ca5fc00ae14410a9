/** Storms by the built command in this process, against servers with a planted fault. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { StormReport } from '../../src/storm/report.ts';
import { SEED, seededBytes } from '../support/content.ts';
import { type Planted, PlantedServer } from '../support/planted-server.ts';
import { runBuilt, type Said } from '../support/command.ts';
import { folder, type OnTestFinished } from '../support/reveille.ts';

export const KERNEL = Buffer.from(seededBytes(SEED, 150_000));
export const INITRD = Buffer.from(seededBytes(SEED + 1, 300_000));
export const OTHER_INITRD = Buffer.from(seededBytes(SEED + 2, 300_000));
export const FILES: ReadonlyMap<string, Buffer> = new Map([
  ['linux', KERNEL],
  ['initrd.img', INITRD],
]);
export const BOOT = ['--file', 'linux', '--file', 'initrd.img'];

/** A directory with the correct files. */
export function rightFiles(): string {
  const root = folder();
  for (const [name, content] of FILES) writeFileSync(join(root, name), content);
  return root;
}

export interface Stormed extends Said {
  readonly report: StormReport;
}

/** @param onFinished the hook of a test that runs concurrently with others. */
export async function storm(
  port: number,
  args: readonly string[],
  onFinished: OnTestFinished = onTestFinished,
): Promise<Stormed> {
  const json = join(folder(onFinished), 'report.json');
  const all = ['storm', `127.0.0.1:${port}`, '--quiet', '--json', json, '--threads', '1', ...args];
  return { ...(await runBuilt(all)), report: JSON.parse(readFileSync(json, 'utf8')) as StormReport };
}

/** @param onFinished the hook of a test that runs concurrently with others. */
export async function planted(
  fault: Planted,
  args: readonly string[],
  onFinished: OnTestFinished = onTestFinished,
): Promise<Stormed> {
  const server = await PlantedServer.start(FILES, fault);
  onFinished(() => server.close());
  return storm(server.port, args, onFinished);
}

export function idsOf({ violations }: StormReport): string[] {
  return violations.map(({ id }) => id);
}

export const STRICT = ['--slo', 'failed=0,wrong_bytes=0,mixed_versions=0,violations=0'];
