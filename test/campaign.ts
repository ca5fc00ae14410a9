/**
 * Plays virtual worlds for hours: `npx tsx test/campaign.ts --seeds 1000000 [--from 1]`. Prints its progress. At the
 * first failure, prints the seed and stops. Exits with 0 if every world passes, 1 after a failure, 2 for invalid
 * arguments.
 */
import { parseArgs } from 'node:util';
import { explore, replayHint } from './support/world-judge.ts';
import { PHASES } from './support/world-draw.ts';

function wholeNumber(text: string, name: string): number {
  if (/^[0-9]{1,15}$/.test(text)) return Number(text);
  process.stderr.write(`Expected a whole number after --${name}, got ${text}\n`);
  process.exit(2);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { seeds: { type: 'string', default: '10000' }, from: { type: 'string', default: '1' } },
  });
  const seeds = wholeNumber(values.seeds, 'seeds');
  const from = wholeNumber(values.from, 'from');
  const startedAt = performance.now();
  let saidAt = startedAt;
  for (let seed = from; seed < from + seeds; seed++) {
    for (const phase of PHASES) {
      const problems = await explore(seed, phase);
      if (problems.length === 0) continue;
      process.stderr.write(`${replayHint(seed, phase)}\n${problems.map((problem) => `  ${problem}\n`).join('')}`);
      return 1;
    }
    if (performance.now() - saidAt < 10_000) continue;
    saidAt = performance.now();
    const done = seed - from + 1;
    const perSecond = Math.round(done / ((saidAt - startedAt) / 1000));
    process.stdout.write(`${done} of ${seeds} seeds, ${perSecond} a second\n`);
  }
  process.stdout.write(`${seeds} seeds from ${from}: nothing wrong\n`);
  return 0;
}

process.exitCode = await main();
