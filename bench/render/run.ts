/**
 * Measures how soon nodes get configs of their own, over real sockets: 2,000 nodes over two seconds and in one instant;
 * and the effect of handlers on transfers that run meanwhile. The nodes are a process of their own (client.mjs).
 */
import { fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type * as BootSetModule from '../../src/boot-set/index.ts';
import type * as PublishModule from '../../src/boot-set/store/publish.ts';
import type * as Reveille from '../../src/index.ts';
import type * as RenderModule from '../../src/render/index.ts';
import { median, range } from '../statistics.ts';

const NODES = 2000;
const SPREAD_MS = 2000;
const TURNAROUND = { kind: 'turnaround', name: 'big', transfers: 8 };
/** Number of turns alone and beside a handler, and the duration of each. */
const TURNS = 9;
const TURN_MS = 1500;
const FILES = new Map([
  ['big', new Uint8Array(16 * 1024 * 1024)],
  ['small', new Uint8Array(16)],
]);
/** Limits that must hold, in milliseconds. */
const SPREAD_P99_MS = 110;
const INSTANT_P99_MS = 1000;
const TURNAROUND_FACTOR = 1.3;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const dist = (path: string): string => new URL(`../../dist/${path}`, import.meta.url).href;
const { startServer, DEFAULT_LIMITS, BufferCache, MemorySource } = (await import(dist('index.js'))) as typeof Reveille;
const { loadRoutes } = (await import(dist('render/index.js'))) as typeof RenderModule;
const { BootSets, openStore } = (await import(dist('boot-set/index.js'))) as typeof BootSetModule;
const { publish } = (await import(dist('boot-set/store/publish.js'))) as typeof PublishModule;

const TEMPLATE = `# {{ node.name }}
DEFAULT linux
PROMPT 0
{% if labels.role == 'worker' -%}
TIMEOUT 10
{%- endif %}
LABEL linux
  KERNEL /{{ bootset.kernel }}
  INITRD /{{ bootset.initrd }}
  APPEND {{ args }} hostname={{ node.name }} disk={{ vars.disk }} url=http://{{ request.local }}/{{ request.mac }}
`;
const HANDLERS = {
  'waits.mjs':
    'export default async ({ name }) => { await new Promise((done) => setTimeout(done, 300)); return name; };',
  'computes.mjs':
    'export default ({ name }) => { const until = performance.now() + 50; while (performance.now() < until); return name; };',
};

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function shown(values: readonly number[]): string {
  const [p50, p99, most] = [0.5, 0.99, 1].map((share) => percentile(values, share).toFixed(2));
  return `p50 ${p50} ms, p99 ${p99} ms, most ${most} ms`;
}

class Nodes {
  readonly #child = fork(new URL('./client.mjs', import.meta.url), { serialization: 'advanced' });
  readonly #waiting = new Map<number, (result: never) => void>();
  #last = 0;

  constructor() {
    this.#child.on('message', (message) => {
      const { id, result } = message as { id: number; result: never };
      this.#waiting.get(id)!(result);
    });
  }

  ask<T>(order: Record<string, unknown>): Promise<T> {
    return new Promise((resolve) => {
      const id = ++this.#last;
      this.#waiting.set(id, resolve);
      this.#child.send({ ...order, id });
    });
  }

  close(): void {
    this.#child.disconnect();
  }
}

interface Configs {
  readonly firstMs: readonly number[];
  readonly wholeMs: readonly number[];
  readonly resent: number;
  readonly wrong: number;
  readonly errors: number;
}

const folder = mkdtempSync(join(tmpdir(), 'reveille-render-'));
const base = join(folder, 'base');
mkdirSync(join(folder, 'set'), { recursive: true });
mkdirSync(base);
for (const name of ['pxelinux.0', 'vmlinuz', 'initrd.img']) writeFileSync(join(folder, 'set', name), name);
writeFileSync(join(base, 'node.liquid'), TEMPLATE);
for (const [name, text] of Object.entries(HANDLERS)) writeFileSync(join(base, name), text);
const nodes = Array.from({ length: NODES }, (_, node) => {
  const hex = node.toString(16).padStart(4, '0');
  const mac = `52:54:00:00:${hex.slice(0, 2)}:${hex.slice(2)}`;
  return `  - name: node${node}\n    mac: ${mac}\n    channel: ubuntu\n    labels: { role: worker }\n    vars: { disk: sda }\n`;
});
writeFileSync(join(base, 'nodes.yaml'), `nodes:\n${nodes.join('')}`);
const store = await openStore({ path: join(folder, 'store') });
await publish(store, { channel: 'ubuntu', paths: [join(folder, 'set')], candidate: false });

const clock = {
  now: (): number => performance.now(),
  wake: (at: number, fn: () => void) => {
    const timer = setTimeout(fn, Math.max(0, at - performance.now()));
    return (): void => clearTimeout(timer);
  },
};
const bootSets = new BootSets({
  store,
  cache: new BufferCache(),
  clock,
  policy: { pinIdleMs: 900_000, pinCapMs: 7_200_000 },
});
const warnings = new Map<string, number>();
const onWarning = (message: string): void => void warnings.set(message, (warnings.get(message) ?? 0) + 1);
const load = (): ReturnType<typeof loadRoutes> =>
  loadRoutes(
    {
      base,
      inventory: 'nodes.yaml',
      routes: [
        { match: 'pxelinux.cfg/01-{mac}', template: 'node.liquid' },
        { match: 'waits/{name}', handler: 'waits.mjs' },
        { match: 'computes/{name}', handler: 'computes.mjs' },
        { match: 'files/{name}', rewrite: 'small' },
      ],
    },
    { bootSets, clock, onWarning },
  );
const routes = await load();
const server = await startServer({
  listen: [{ address: '127.0.0.1', port: 0 }],
  sources: [routes, bootSets, new MemorySource(FILES)],
  engine: 'auto',
  workers: 1,
  limits: DEFAULT_LIMITS,
  observer: { onTransfer: () => {}, onRefusal: () => {}, onWarning },
});
const { port } = server.addresses[0]!;
const client = new Nodes();
const pesterer = new Nodes();
let failed = false;

function judge(what: string, holds: boolean): void {
  say(`  ${holds ? 'holds' : 'FAILS'}: ${what}`);
  if (!holds) failed = true;
}

async function storm(title: string, spreadMs: number, p99Ms: number): Promise<void> {
  await routes.replace(await load());
  const before = routes.stats().outcomes;
  const cpuBefore = process.cpuUsage();
  const loopBefore = performance.eventLoopUtilization();
  const result = await client.ask<Configs>({ kind: 'configs', port, nodes: NODES, spreadMs, giveUpMs: 20_000 });
  const { outcomes } = routes.stats();
  const { user, system } = process.cpuUsage(cpuBefore);
  const { active } = performance.eventLoopUtilization(loopBefore);
  const rendered = outcomes.rendered - before.rendered;
  say(`${title}: first reply ${shown(result.firstMs)}; config whole ${shown(result.wholeMs)}`);
  say(
    `  rendered ${rendered}, shared ${outcomes.shared - before.shared}, resent ${result.resent}, wrong ${result.wrong}, failed ${result.errors}`,
  );
  say(
    `  the server took ${Math.round((user + system) / 1000)} ms of the processors, its main thread ${Math.round(active)} ms`,
  );
  judge(`first reply p99 <= ${p99Ms} ms`, percentile(result.firstMs, 0.99) <= p99Ms);
  judge('each its own, once, none failed', rendered === NODES && result.wrong === 0 && result.errors === 0);
}

/** Waits until no config is being rendered. */
async function renderingIsOver(): Promise<void> {
  while (routes.stats().waiting > 0) await delay(20);
}

/**
 * Measures in turns, so that changes of the machine affect all alike: without other requests; with requests for a file
 * at the same rate; with requests for a handler. The requests come from another process than the measurement.
 */
async function besideHandler(prefix: string, perS: number): Promise<void> {
  const order = { ...TURNAROUND, port, forMs: TURN_MS };
  const p99 = { alone: [] as number[], file: [] as number[], handler: [] as number[] };
  let asked = 0;
  const beside = async (name: string): Promise<number> => {
    const [{ gapsMs }, pestered] = await Promise.all([
      client.ask<{ gapsMs: number[] }>(order),
      pesterer.ask<{ asked: number }>({ kind: 'pester', port, prefix: name, perS, forMs: TURN_MS }),
    ]);
    asked += pestered.asked;
    await renderingIsOver();
    return percentile(gapsMs, 0.99);
  };
  for (let turn = 0; turn < TURNS; turn++) {
    p99.alone.push(percentile((await client.ask<{ gapsMs: number[] }>(order)).gapsMs, 0.99));
    p99.file.push(await beside('files'));
    p99.handler.push(await beside(prefix));
  }
  const shownAs = (values: readonly number[]): string => `${median(values).toFixed(2)} (${range(values)})`;
  const over = (other: readonly number[]): number[] => p99.handler.map((value, turn) => value / other[turn]!);
  say(
    `DATA after ACK, p99 of ${TURNS} turns in ms: ${shownAs(p99.alone)} when nobody else asks, ${shownAs(p99.file)} beside`,
  );
  say(
    `  ${perS} requests/s for a file, ${shownAs(p99.handler)} beside ${perS}/s for a handler that ${prefix} (${asked} requests)`,
  );
  say(`  ${shownAs(over(p99.alone))} times the first`);
  judge(
    `within ${TURNAROUND_FACTOR} of the same requests without the handler: ${shownAs(over(p99.file))}`,
    median(over(p99.file)) <= TURNAROUND_FACTOR,
  );
}

try {
  say(`${NODES} nodes, ${availableParallelism()} cores, engine ${server.engine}, Node.js ${process.version}`);
  await storm(`over ${SPREAD_MS / 1000} s`, SPREAD_MS, SPREAD_P99_MS);
  await storm('in one instant', 0, INSTANT_P99_MS);
  await client.ask({ ...TURNAROUND, port, forMs: 1000 });
  for (const [prefix, perS] of [
    ['waits', 200],
    ['computes', 50],
  ] as const) {
    await besideHandler(prefix, perS);
  }
  say(`warnings: ${JSON.stringify(Object.fromEntries(warnings))}`);
} finally {
  client.close();
  pesterer.close();
  await server.stop(0);
  await routes.close();
  await bootSets.close();
  await store.close();
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;
