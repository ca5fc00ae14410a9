/** The limits in docs/design.md match those in the code. */
import { describe, expect, it } from 'vitest';
import { read, table } from './support/pages.ts';

describe('the limits in docs/design.md', () => {
  const UNITS: Readonly<Record<string, number>> = {
    ms: 1,
    s: 1000,
    min: 60_000,
    KiB: 2 ** 10,
    MiB: 2 ** 20,
    GiB: 2 ** 30,
  };

  /** Number in a cell such as `64 KiB`, `10 min`, `8,192` or `64 blocks`, in bytes, milliseconds or plain units. */
  function documented(cell: string): number {
    const match = /^([0-9,]+)(?: (\w+))?$/.exec(cell)!;
    const unit = UNITS[match[2] ?? ''] ?? 1;
    return Number(match[1]!.replaceAll(',', '')) * unit;
  }

  /** Value of a constant or key in source text: a sum, product or power of numbers. */
  function inCode(text: string, name: string): number | undefined {
    const found = new RegExp(`\\b${name}\\b\\s*[:=]\\s*([0-9][0-9_ *+]*)[,;]`).exec(text)?.[1];
    if (found === undefined) return undefined;
    const power = (term: string): number =>
      term
        .split('^')
        .map(Number)
        .reduceRight((exponent, base) => base ** exponent);
    const product = (term: string): number =>
      term
        .split('*')
        .map(power)
        .reduce((a, b) => a * b);
    const sum = found.replaceAll(/[_ ]/g, '').replaceAll('**', '^').split('+');
    return sum.map(product).reduce((a, b) => a + b);
  }

  it.each(
    table('docs/design.md', 'Limits')
      .filter(([, shown]) => shown !== '–')
      .map(([limit, shown, place]) => [limit!, shown!, place!] as const),
  )('are those in the code: %s %s', (_, shown, place) => {
    const [, name, path] = /^`(\w+)` in \[[^\]]+\]\(\.\.\/([^)]+)\)$/.exec(place)!;
    expect(inCode(read(path!), name!)).toBe(documented(shown));
  });
});
