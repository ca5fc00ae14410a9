/**
 * Publishing compared with `cp` and `sha256sum` of the same files, in turns: the page cache, the disk and other users
 * of the machine then affect all alike.
 *
 *     npm run bench:store -- [--pairs N] [--bytes N] [--folder DIR] [--json FILE]
 *
 * `reveille publish` also syncs the files that it has written, which `cp` does not: the third column is `cp`, a sync of
 * the copy, and `sha256sum`. Builds nothing: run `npm run build` first.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { publish } from '../src/boot-set/store/publish.ts';
import { openStore } from '../src/boot-set/store/store.ts';
import { randomBytes } from 'node:crypto';
import { measure } from './benchmark.ts';
import { describeCommit, describeMachine } from './machine.ts';
import { machineLine } from './report.ts';
import { storeOpening } from './store-benchmarks.ts';

const { values } = parseArgs({
  options: {
    /** Number of rounds; each times every way once. */
    pairs: { type: 'string', default: '7' },
    /** Length of the whole set in bytes. */
    bytes: { type: 'string', default: '100000000' },
    /** Folder in which the benchmark runs: it selects the disk to measure. */
    folder: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
  },
});
const pairs = Number(values.pairs);
const bytes = Number(values.bytes);
if (!Number.isInteger(pairs) || pairs < 1) throw new RangeError(`Expected --pairs to be a number, got ${values.pairs}`);

const CLI = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
/** Shares of a set like those of Ubuntu: an initrd, a kernel, loaders. */
const SHARES = { initrd: 0.78, linux: 0.15, 'grub/grubx64.efi': 0.05, 'shimx64.efi': 0.02 };

const folder = mkdtempSync(join(values.folder, 'reveille-bench-'));
const [set, copy, path] = [join(folder, 'set'), join(folder, 'copy'), join(folder, 'store')];

/** Writes new bytes each time: publishing content that exists already would measure something else. */
function writeSet(): void {
  for (const [name, share] of Object.entries(SHARES)) {
    mkdirSync(join(set, name, '..'), { recursive: true });
    writeFileSync(join(set, name), randomBytes(Math.round(bytes * share)));
  }
}

function shell(script: string): void {
  execFileSync('/bin/sh', ['-ec', script], { stdio: 'ignore' });
}

async function timed(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

const HASH = `find "${set}" -type f -exec sha256sum {} +`;
const ways: Readonly<Record<string, () => unknown>> = {
  'cp, sha256sum': () => shell(`cp -r "${set}" "${copy}"; ${HASH}`),
  'cp, sync, sha256sum': () => shell(`cp -r "${set}" "${copy}"; find "${copy}" -type f -exec sync {} +; ${HASH}`),
  'publish, as a library': async () => {
    const store = await openStore({ path });
    await publish(store, { channel: 'bench', paths: [set] });
    await store.close();
  },
  'reveille publish': () => execFileSync(process.execPath, [CLI, 'publish', 'bench', set, '--store', path]),
};

function median(sorted: readonly number[]): number {
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

try {
  const times = Object.keys(ways).map((name) => ({ name, ms: [] as number[] }));
  for (let pair = 0; pair < pairs; pair++) {
    for (const { name, ms } of times) {
      writeSet();
      shell('sync');
      // Both begin with nothing, so that both write to memory that was just freed: a virtual machine may have to ask
      // its host for memory that was never used, and then that would be measured.
      rmSync(copy, { recursive: true, force: true });
      rmSync(path, { recursive: true, force: true });
      await (await openStore({ path })).close();
      ms.push(await timed(ways[name]!));
    }
  }
  const [baseline] = times;
  const summary = times.map(({ name, ms }) => {
    const sorted = ms.toSorted((a, b) => a - b);
    // Ratio of the baseline's time, `cp` and `sha256sum`, to this way's time in the same round.
    const ratios = ms.map((one, at) => baseline!.ms[at]! / one).toSorted((a, b) => a - b);
    return {
      name,
      medianMs: median(sorted),
      leastMs: sorted[0]!,
      mostMs: sorted.at(-1)!,
      medianRatio: median(ratios),
      leastRatio: ratios[0]!,
      mostRatio: ratios.at(-1)!,
    };
  });
  const opening = await measure(storeOpening, 1000);
  const machine = describeMachine();
  const commit = describeCommit();
  const lines = summary.map(
    (way) =>
      `${way.name.padEnd(24)}${way.medianMs.toFixed(0).padStart(6)} ms (${way.leastMs.toFixed(0)} to ${way.mostMs.toFixed(0)})`.padEnd(
        52,
      ) + `speed ${way.medianRatio.toFixed(2)} (${way.leastRatio.toFixed(2)} to ${way.mostRatio.toFixed(2)})`,
  );
  process.stdout.write(
    `${machineLine(machine, commit)}\n${bytes.toLocaleString('en')} bytes in ${Object.keys(SHARES).length} files, ${pairs} rounds, median (range); speed beside cp, sha256sum\n\n${lines.join('\n')}\n\n${opening.name}: ${(opening.medianNs / 1e6).toFixed(1)} ms (${opening.samples} samples)\n`,
  );
  if (values.json !== undefined) {
    writeFileSync(
      values.json,
      `${JSON.stringify({ commit, machine, bytes, times, summary, opening }, undefined, 2)}\n`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
