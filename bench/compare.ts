/**
 * Compares two files of figures saved by bench:storm: `npx tsx bench/compare.ts BEFORE AFTER [--tolerance 15%]`. Takes
 * the median of each figure of each server in each scenario. Exits with 1 when a figure has become worse by more than
 * the tolerance, or when a node failed that did not before; with 2 for invalid arguments.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

type Samples = readonly Readonly<Record<string, number | null>>[];
interface Kept {
  readonly results: Readonly<Record<string, Readonly<Record<string, Samples>>>>;
}

/** Figures where less is better, and the values below which they are too small to compare. */
const FIGURES: Readonly<Record<string, number>> = {
  first_reply_p99_ms: 5,
  finish_p50_s: 0.5,
  finish_p99_s: 0.5,
  server_cpu_us_per_kib: 0.1,
};
/** Figures that must not grow at all. */
const COUNTS = ['failed', 'wrong_bytes', 'violations'];

function median(samples: Samples, figure: string): number | undefined {
  const sorted = samples
    .map((sample) => sample[figure])
    .filter((value): value is number => typeof value === 'number')
    .toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** @returns one line for each figure that became worse; empty when none did. */
export function worsened(before: Kept, after: Kept, tolerance: number): string[] {
  const lines: string[] = [];
  for (const [scenario, servers] of Object.entries(before.results)) {
    for (const [server, samples] of Object.entries(servers)) {
      const later = after.results[scenario]?.[server];
      if (later === undefined) {
        lines.push(`${scenario}, ${server}: not measured any more`);
        continue;
      }
      for (const figure of [...Object.keys(FIGURES), ...COUNTS]) {
        const [was, is] = [median(samples, figure), median(later, figure)];
        if (was === undefined || is === undefined) continue;
        const least = FIGURES[figure];
        const worse = least === undefined ? is > was : is > Math.max(least, was * (1 + tolerance));
        if (worse) lines.push(`${scenario}, ${server}: ${figure} was ${was.toFixed(2)}, is ${is.toFixed(2)}`);
      }
    }
  }
  return lines;
}

function read(file: string): Kept {
  const kept = JSON.parse(readFileSync(file, 'utf8')) as Partial<Kept>;
  if (typeof kept.results !== 'object') throw new Error(`${file}: expected figures that bench:storm kept`);
  return kept as Kept;
}

function main(args: readonly string[]): number {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { tolerance: { type: 'string', default: '15%' } },
  });
  const share = /^([0-9]{1,3})%$/.exec(values.tolerance);
  const [before, after, ...more] = positionals;
  if (share === null || before === undefined || after === undefined || more.length > 0) {
    process.stderr.write('Expected BEFORE AFTER [--tolerance 15%]\n');
    return 2;
  }
  const lines = worsened(read(before), read(after), Number(share[1]) / 100);
  for (const line of lines) process.stdout.write(`${line}\n`);
  process.stdout.write(`${lines.length === 0 ? 'Nothing' : lines.length} worse by more than ${values.tolerance}\n`);
  return lines.length === 0 ? 0 : 1;
}

if (process.argv[1] === import.meta.filename) process.exitCode = main(process.argv.slice(2));
