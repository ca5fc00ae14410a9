/** The documents as tests read them: whole, by code block, by table. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { expect } from 'vitest';

export const ROOT = resolve(import.meta.dirname, '../..');

export function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** Code blocks of a page in one language. */
export function blocks(path: string, language: string): string[] {
  const fence = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm');
  return [...read(path).matchAll(fence)].map((match) => match[1]!);
}

/** Rows of the first table below a heading, cell by cell, without the header. */
export function table(path: string, heading: string): string[][] {
  const text = read(path);
  const at = text.indexOf(`\n## ${heading}\n`);
  expect(at, `${path} has a heading "${heading}"`).toBeGreaterThanOrEqual(0);
  const lines = text.slice(at + 1).split('\n');
  const first = lines.findIndex((line) => line.startsWith('|'));
  const rows: string[][] = [];
  for (let row = first + 2; lines[row]?.startsWith('|') === true; row++) {
    rows.push(
      lines[row]!.split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  return rows;
}

export function bare(cell: string): string {
  return cell.replaceAll('`', '');
}

/** The pages of docs/. */
export const DOCS = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/${name.split(sep).join('/')}`)
  .toSorted();

/** All documents for readers. */
export const PAGES = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'grafana/README.md', ...DOCS];
