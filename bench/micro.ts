/**
 * Runs the small benchmarks, one after the other.
 *
 *     npm run bench -- [--time MS] [--only TEXT] [--json FILE]
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Measurement, measure } from './benchmark.ts';
import { microBenchmarks } from './benchmarks.ts';
import { describeCommit, describeMachine } from './machine.ts';
import { machineLine, resultTable } from './report.ts';

const { values } = parseArgs({
  options: {
    /** Time in which each benchmark collects samples, in milliseconds. */
    time: { type: 'string', default: '500' },
    /** Runs only benchmarks whose name contains this text. */
    only: { type: 'string', default: '' },
    /** File for the results as JSON. */
    json: { type: 'string' },
  },
});
const timeMs = Number(values.time);
if (!(timeMs > 0)) throw new RangeError(`Expected --time to be a number of milliseconds, got ${values.time}`);

const machine = describeMachine();
const commit = describeCommit();
const chosen = microBenchmarks().filter(({ name }) => name.includes(values.only));
if (chosen.length === 0) throw new RangeError(`Expected --only to be part of a benchmark's name, got ${values.only}`);

const measurements: Measurement[] = [];
for (const benchmark of chosen) {
  // eslint-disable-next-line no-await-in-loop -- two benchmarks at once would disturb each other.
  measurements.push(await measure(benchmark, timeMs));
}
process.stdout.write(`${machineLine(machine, commit)}\n\n${resultTable(measurements)}`);
if (values.json !== undefined) {
  const measuredAt = new Date().toISOString();
  writeFileSync(values.json, `${JSON.stringify({ commit, measuredAt, machine, measurements }, undefined, 2)}\n`);
}
