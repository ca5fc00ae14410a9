/**
 * A worker is killed every two seconds while nodes of all firmware boot: `npm run test:deaths -- [--nodes 1000]
 * [--every 2] [--workers 1,2] [--ports own,shared] [--kilobytes 1024]`, where `shared` is one port for all transfers. Every
 * byte is compared. Prints how long transfers paused at each death. Exits with 1 if a node failed, got a wrong byte, or if
 * one transfer in a hundred paused for more than 100 ms.
 *
 * Needs Linux with two cores, io_uring and a build. Traffic stays on loopback.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { SEED, seededBytes } from './support/content.ts';
import { type DeathStorm, stormWithDeaths } from './support/death-storm.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1000' },
    every: { type: 'string', default: '2' },
    workers: { type: 'string', default: '1,2' },
    ports: { type: 'string', default: 'own,shared' },
    kilobytes: { type: 'string', default: '1024' },
  },
});
const MAX_PAUSE_MS = 100;

function text({ deaths, resumed, lost, report, pausesMs, usualMs }: DeathStorm): string {
  const { completed, failed, wrong } = report;
  const of = (list: readonly number[], share: number): string =>
    (list[Math.min(list.length - 1, Math.floor(list.length * share))] ?? 0).toFixed(0);
  return [
    `${deaths} deaths, ${resumed} transfers resumed, ${lost} lost; ${completed} nodes booted, ${failed} failed, ${wrong} got wrong bytes`,
    `  pauses at a death: p50 ${of(pausesMs, 0.5)} ms, p90 ${of(pausesMs, 0.9)} ms, p99 ${of(pausesMs, 0.99)} ms, longest ${of(pausesMs, 1)} ms`,
    `  pauses at other moments: p50 ${of(usualMs, 0.5)} ms, p90 ${of(usualMs, 0.9)} ms, p99 ${of(usualMs, 0.99)} ms`,
    ...report.failures.map((line) => `  ${line}`),
    '',
  ].join('\n');
}

async function main(): Promise<number> {
  const root = mkdtempSync(join(tmpdir(), 'reveille-deaths-'));
  let isGood = true;
  try {
    writeFileSync(join(root, 'loader'), seededBytes(SEED, 60_000));
    writeFileSync(join(root, 'kernel'), seededBytes(SEED + 1, Number(values.kilobytes) * 1024));
    const rounds = values.ports
      .split(',')
      .flatMap((ports) => values.workers.split(',').map((workers) => ({ ports, workers: Number(workers) })));
    for (const { ports, workers } of rounds) {
      // oxlint-disable-next-line no-await-in-loop -- storms run one after the other.
      const storm = await stormWithDeaths({
        root,
        files: ['loader', 'kernel'],
        nodes: Number(values.nodes),
        workers,
        singlePort: ports === 'shared',
        everyMs: 1000 * Number(values.every),
        arrival: 'ramp:3s',
        pause: delay,
      });
      const threads = workers === 1 ? '1 worker' : `${workers} workers`;
      process.stdout.write(
        `${threads}, ${ports === 'shared' ? 'one port' : 'a port for each transfer'}: ${text(storm)}`,
      );
      const { failed, wrong } = storm.report;
      const slow = storm.pausesMs.filter((ms) => ms > MAX_PAUSE_MS).length;
      isGood &&= failed + wrong + storm.lost === 0 && storm.deaths > 0 && slow <= storm.pausesMs.length / 100;
    }
  } finally {
    rmSync(root, { recursive: true });
  }
  return isGood ? 0 : 1;
}

process.exitCode = await main();
