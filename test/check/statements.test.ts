/**
 * Compares docs/statements.md with the checks: each row marked as visible from outside has a check with the same words.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CHECKS } from '../../src/check/checks.ts';

const PAGE = resolve(import.meta.dirname, '../../docs/statements.md');
const PLACES = ['outside', 'simulator', 'unit', 'not shown'];

interface Row {
  readonly number: number;
  readonly statement: string;
  readonly clause: string;
  readonly shown: string;
}

/** Rows of the table below the heading "The statements". */
function rows(): Row[] {
  const section = readFileSync(PAGE, 'utf8')
    .split(/^## /m)
    .find((part) => part.startsWith('The statements\n'));
  return (section ?? '')
    .split('\n')
    .filter((line) => /^\| [0-9]/.test(line))
    .map((line) => {
      const [number, statement, clause, shown] = line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim());
      return { number: Number(number), statement: statement!, clause: clause!, shown: shown! };
    });
}

describe('docs/statements.md', () => {
  it('numbers its statements from 1, without a gap', () => {
    expect(rows().map(({ number }) => number)).toEqual(Array.from({ length: 96 }, (_, index) => index + 1));
  });

  it('lists exactly the existing checks for statements that can be checked from outside, in the same words', () => {
    const outside = rows().filter(({ shown }) => /^outside\b/.test(shown));
    expect(outside.map(({ number, statement, clause }) => ({ number, title: statement, clause }))).toEqual(
      CHECKS.map(({ number, title, clause }) => ({ number, title, clause })),
    );
  });

  it('names an existing test for every statement', () => {
    for (const { number, shown } of rows()) {
      const places = shown.split('; ').map((part) => part.replace(/:.*$/, ''));
      expect(PLACES, `statement ${number}`).toEqual(expect.arrayContaining(places));
      const files = [...shown.matchAll(/\]\(([^)]+)\)/g)].map(([, path]) => join(dirname(PAGE), path!));
      expect(files.filter((path) => !existsSync(path))).toEqual([]);
      const needed = places.filter((place) => place === 'simulator' || place === 'unit').length;
      expect(files.length, `statement ${number}`).toBeGreaterThanOrEqual(needed);
    }
  });

  it('assigns no number to two checks', () => {
    expect(new Set(CHECKS.map(({ number }) => number)).size).toBe(CHECKS.length);
  });
});
