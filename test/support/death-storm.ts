/** A storm of nodes with all firmware that speaks TFTP, during which workers of the server die. Needs a build. */
import { BroadcastChannel } from 'node:worker_threads';
import { parseArrival } from '../../src/storm/plan/arrival.ts';
import { NO_FAULTS } from '../../src/storm/plan/fault-plan.ts';
import { TFTP_PROFILES } from '../../src/storm/plan/profiles.ts';
import { planFromFiles } from '../../src/storm/plan/read-plan.ts';
import { loadExpected } from '../../src/storm/run/expected.ts';
import { runStorm } from '../../src/storm/run/run-storm.ts';
import { SEED } from './content.ts';
import { ForkedServer } from './forked-server.ts';

const STORM_WORKER = new URL('watched-storm-worker.mjs', import.meta.url);

export interface DeathStormOptions {
  readonly root: string;
  readonly files: readonly string[];
  readonly nodes: number;
  readonly workers: number;
  readonly singlePort?: boolean;
  /** Time from one death to the next, ms. */
  readonly everyMs: number;
  readonly arrival: string;
  readonly pause: (ms: number) => Promise<unknown>;
}

export interface DeathStorm {
  readonly deaths: number;
  /** Transfers that the server says it has resumed, and lost. */
  readonly resumed: number;
  readonly lost: number;
  readonly report: {
    readonly completed: number;
    readonly failed: number;
    readonly wrong: number;
    readonly failures: readonly string[];
  };
  /** For each death and each transfer of the dead worker: time from the death to the transfer's next new block, ms. */
  readonly pausesMs: readonly number[];
  /** The same for moments halfway between two deaths, for as many transfers. */
  readonly usualMs: readonly number[];
}

/** A transfer as a node saw it, ms of CLOCK_MONOTONIC. */
interface Watched {
  readonly from: number;
  readonly to: number;
  /** Pauses of more than 20 ms between new blocks. */
  readonly pauses: readonly (readonly [from: number, to: number])[];
}

/** Times from a moment to the next block of each transfer under way then, the longest `most` of them. */
function pausesAt(at: number, transfers: readonly Watched[], most: number): number[] {
  const lengths = transfers
    .filter(({ from, to }) => from < at && at < to)
    .map(({ pauses }) => {
      const pause = pauses.find(([from, to]) => from <= at && at < to);
      return pause === undefined ? 0 : pause[1] - at;
    });
  // Nodes do not know which worker serves them: the transfers that paused longest stand for those of the dead one.
  return lengths.toSorted((one, other) => other - one).slice(0, most);
}

export async function stormWithDeaths(options: DeathStormOptions): Promise<DeathStorm> {
  const { root, files, nodes, workers, singlePort = false, everyMs, arrival, pause } = options;
  const server = await ForkedServer.start(root, workers, { engine: 'linux', singlePort });
  const plan = planFromFiles({ profile: 'ipxe', files });
  const transfers: Watched[] = [];
  const channel = new BroadcastChannel('pauses');
  channel.onmessage = (event) => transfers.push(...(event as { data: Watched[] }).data);
  const deaths: { readonly at: number; readonly moved: number }[] = [];
  const ended = new AbortController();
  try {
    const storm = runStorm({
      server: server.address,
      http: server.address,
      plan,
      mix: [...TFTP_PROFILES.values()],
      nodes,
      arrival: parseArrival(arrival),
      arrivalText: arrival,
      seed: SEED,
      faults: NO_FAULTS,
      expected: loadExpected(root, 'verify', new Set(files)),
      versioned: false,
      source: 'address',
      engine: 'linux',
      threads: 1,
      doubledAcks: false,
      slo: [],
      version: 'test',
      worker: STORM_WORKER,
    }).finally(() => ended.abort());
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- deaths come one after the other.
      await Promise.race([pause(everyMs), storm]);
      if (ended.signal.aborted) break;
      // oxlint-disable-next-line no-await-in-loop -- see above.
      const moved = await server.crash();
      // oxlint-disable-next-line no-await-in-loop -- see above.
      if (moved > 0) deaths.push({ at: await server.death(), moved });
    }
    const report = await storm;
    const { transfersResumedTotal, transfersLostTotal } = await server.stats();
    return {
      deaths: deaths.length,
      resumed: transfersResumedTotal,
      lost: Object.values(transfersLostTotal).reduce((sum, count) => sum + count, 0),
      report: {
        completed: report.completed,
        failed: report.failed,
        wrong: report.wrong_bytes ?? 0,
        failures: [
          ...report.failures.map(({ reason, nodes: count, example }) => `${count} failed: ${reason} (${example})`),
          ...report.violations.map(({ what, count, example }) => `${count} × ${what} (${example})`),
          ...server.transfers
            .filter(({ fault }) => fault !== undefined)
            .slice(0, 5)
            .map(({ fault, outcome }) => `server: ${outcome}: ${fault}`),
        ],
      },
      pausesMs: deaths.flatMap(({ at, moved }) => pausesAt(at, transfers, moved)).toSorted((one, other) => one - other),
      usualMs: deaths
        .flatMap(({ at, moved }) => pausesAt(at - everyMs / 2, transfers, moved))
        .toSorted((one, other) => one - other),
    };
  } finally {
    channel.close();
    await server.end();
  }
}
