/** Results as a table for a terminal. Pure: the same results give the same text. */
import type { Measurement } from './benchmark.ts';
import type { Machine } from './machine.ts';

function inNs(ns: number): string {
  return ns.toLocaleString('en', { maximumFractionDigits: ns < 100 ? 1 : 0, minimumFractionDigits: ns < 100 ? 1 : 0 });
}

function rowOf({ name, medianNs, p25Ns, p75Ns, opsPerSecond, samples }: Measurement): readonly string[] {
  return [
    name,
    inNs(medianNs),
    `${inNs(p25Ns)}..${inNs(p75Ns)}`,
    Math.round(opsPerSecond).toLocaleString('en'),
    samples.toLocaleString('en'),
  ];
}

export function machineLine({ cpu, cores, node, kernel }: Machine, commit: string): string {
  return `${cores} × ${cpu}, Node.js ${node}, ${kernel}, commit ${commit}`;
}

export function resultTable(measurements: readonly Measurement[]): string {
  const rows = [['benchmark', 'median ns', 'p25..p75 ns', 'ops/s', 'samples'], ...measurements.map(rowOf)];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd();
  return `${rows.map(line).join('\n')}\n`;
}
