/**
 * Many transfers on one server, to find leaks: `npx tsx test/endurance.ts
 * [--transfers 100000] [--engine linux] [--engine portable]`. Prints descriptors and memory after each fifth. Exits with 0
 * if nothing grew from the third fifth to the last, 1 if something did, 2 for invalid arguments. Needs a build.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fetchFile } from '../src/client/fetch.ts';
import { createEngine } from '../src/engine/create.ts';
import { seededBytes } from './support/content.ts';
import { ForkedServer, type Usage } from './support/forked-server.ts';

const FIFTHS = 5;
const AT_ONCE = 100;
/**
 * Factors by which memory may grow. V8 and malloc return pages to the system at times of their own choice: on a busy
 * machine the resident memory of a server with the same heap was 6 % higher. The bounds are 240 bytes resident and 30
 * bytes of heap for each transfer.
 */
const TOLERANCE = { rss: 1.1, heap: 1.05 };
const SIZE = 3000;
const KINDS = ['linux', 'portable'] as const;
type Kind = (typeof KINDS)[number];

const MIB = 1024 ** 2;
const inMiB = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;

/** @returns the number of failed transfers. */
async function fetchMany(server: ForkedServer, content: Uint8Array, count: number): Promise<number> {
  const engine = createEngine('linux');
  let begun = 0;
  let failed = 0;
  const node = async (): Promise<void> => {
    while (begun < count) {
      const number = ++begun;
      const parts: Buffer[] = [];
      const { outcome } = await fetchFile({
        engine,
        local: `127.${1 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`,
        shared: number,
        server: server.address,
        filename: 'config',
        mode: 'octet',
        wish: {},
        lingerMs: 0,
        sink: { write: (bytes) => void parts.push(Buffer.from(bytes)) },
      });
      if (outcome !== 'complete' || !Buffer.concat(parts).equals(content)) failed++;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, node));
  await engine.close();
  return failed;
}

/** @returns the problems found. */
async function endure(kind: Kind, transfers: number): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'reveille-endurance-'));
  const content = seededBytes(1, SIZE);
  await writeFile(join(folder, 'config'), content);
  const server = await ForkedServer.start(folder, 1, { engine: kind });
  try {
    const usages: Usage[] = [];
    let failed = await fetchMany(server, content, 1);
    await server.idle();
    // Ports are opened ahead of transfers, and again in quiet moments: the one of this transfer may still be missing.
    const mostDescriptors = (await server.usage()).descriptors + 1;
    for (let fifth = 1; fifth <= FIFTHS; fifth++) {
      failed += await fetchMany(server, content, transfers / FIFTHS);
      // The client reports its end when it sends the last ACK, before the server has received that ACK.
      await server.idle();
      const usage = await server.usage();
      usages.push(usage);
      const { descriptors, rssBytes, heapBytes } = usage;
      const done = (fifth * transfers) / FIFTHS;
      process.stdout.write(
        `${kind}, ${done} transfers: ${descriptors} descriptors, ${inMiB(rssBytes)} resident, ${inMiB(heapBytes)} of heap\n`,
      );
    }
    // The first two fifths fill bounded tables, such as that of known addresses.
    const [first, last] = [usages[2]!, usages.at(-1)!];
    return [
      failed > 0 ? `${failed} transfers failed` : '',
      usages.some(({ descriptors }) => descriptors > mostDescriptors)
        ? `more than ${mostDescriptors} descriptors were open`
        : '',
      last.rssBytes > first.rssBytes * TOLERANCE.rss ? 'resident memory grew' : '',
      last.heapBytes > first.heapBytes * TOLERANCE.heap ? 'the heap grew' : '',
    ].filter((problem) => problem !== '');
  } finally {
    await server.end();
    await rm(folder, { recursive: true });
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { transfers: { type: 'string', default: '100000' }, engine: { type: 'string', multiple: true } },
  });
  const kinds = (values.engine ?? KINDS) as readonly Kind[];
  if (!/^[1-9][0-9]{1,7}$/.test(values.transfers) || !kinds.every((kind) => KINDS.includes(kind))) {
    process.stderr.write(`Expected --transfers N, 10 or more, and --engine ${KINDS.join(' or ')}\n`);
    return 2;
  }
  let problems = 0;
  for (const kind of kinds) {
    for (const problem of await endure(kind, Number(values.transfers))) {
      process.stderr.write(`${kind}: ${problem}\n`);
      problems++;
    }
  }
  return problems === 0 ? 0 : 1;
}

process.exitCode = await main();
