/**
 * A server below its keeper is killed (`kill -9`), and then replaced by successors, while nodes of all firmware boot:
 * `npm run test:deaths`, or `npx tsx test/server-deaths.ts [--nodes 1000] [--kills 10] [--upgrades 20] [--every 5]
 * [--workers 1] [--shared]`; with `--shared` all transfers run at one port. Every byte is compared. Prints how long a request waited at each death and at each upgrade. Exits with
 * 1 if a node failed or got a wrong byte, if a request at a death waited for more than 1.5 s, or if the 99th percentile at
 * upgrades is more than 150 ms.
 *
 * Needs Linux with two quiet cores and a build. Traffic stays on loopback.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SEED, seededBytes } from './support/content.ts';
import { lastingPort } from './support/ports.ts';
import { errorPacket, readRequest } from './support/raw-client.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1000' },
    kills: { type: 'string', default: '10' },
    upgrades: { type: 'string', default: '20' },
    every: { type: 'string', default: '5' },
    workers: { type: 'string', default: '1' },
    shared: { type: 'boolean', default: false },
  },
});
const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const MAX_WAIT_MS = 1500;
const MAX_UPGRADE_MS = 150;
const PROFILES = 'ipxe,grub,edk2,pxelinux,u-boot';

const root = mkdtempSync(join(tmpdir(), 'reveille-deaths-'));
writeFileSync(join(root, 'loader'), seededBytes(SEED, 60_000));
writeFileSync(join(root, 'kernel'), seededBytes(SEED + 1, 4_000_000));

function serverOf({ pid }: ChildProcess): number | undefined {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).toReversed();
  return child === undefined ? undefined : Number(child);
}

/** Asks for a file as a node would, every second until there is an answer. @returns how long it waited, ms. */
async function ask(port: number): Promise<number> {
  const socket = createSocket('udp4');
  const begun = performance.now();
  const answer = once(socket, 'message');
  const send = (): void => socket.send(readRequest('loader'), port, '127.0.0.1');
  send();
  const timer = setInterval(send, 1000);
  try {
    const [, from] = (await answer) as [Buffer, { readonly address: string; readonly port: number }];
    const waited = performance.now() - begun;
    // An address may have only so many transfers that it does not answer.
    await new Promise((resolve) => {
      socket.send(errorPacket(0, 'enough'), from.port, from.address, resolve);
    });
    return waited;
  } finally {
    clearInterval(timer);
    socket.close();
  }
}

interface Round {
  readonly waits: readonly number[];
  readonly isGood: boolean;
  readonly text: string;
}

/** @param act what happens to the server, `times` times. */
async function round(times: number, act: (keeper: ChildProcess) => void): Promise<Round> {
  const port = await lastingPort();
  const log = join(root, '..', `reveille-deaths-${process.pid}.log`);
  const args = [
    'keeper',
    '--',
    'serve',
    root,
    '--listen',
    `127.0.0.1:${port}`,
    '--no-admin',
    '--workers',
    values.workers,
    ...(values.shared ? ['--single-port', '--clients', '127.0.0.0/8'] : []),
  ];
  const keeper = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const output: string[] = [];
  for (const stream of [keeper.stdout, keeper.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => output.push(text));
    stream.pipe(createWriteStream(log, { flags: 'a' }));
  }
  const ended = once(keeper, 'close');
  const count = (pattern: RegExp): number => output.join('').match(pattern)?.length ?? 0;
  const listening = async (servers: number): Promise<void> => {
    while (count(/"msg":"listening"/g) < servers) await delay(50);
  };
  try {
    await listening(1);
    const seconds = times * Number(values.every);
    const report = join(root, '..', `reveille-deaths-${process.pid}.json`);
    const files = ['--file', 'loader', '--file', 'kernel', '--verify', root];
    const nodes = ['--nodes', values.nodes, '--profile', PROFILES, '--arrival', `ramp:${seconds}s`];
    const command = [MAIN, 'storm', `127.0.0.1:${port}`, ...nodes, ...files, '--quiet', '--json', report];
    const storm = spawn(process.execPath, command, { stdio: ['ignore', 'ignore', 'inherit'] });
    const stormEnded = once(storm, 'close');
    const waits: number[] = [];
    for (let turn = 1; turn <= times; turn++) {
      await delay(1000 * Number(values.every));
      act(keeper);
      // An upgrade takes a while until it reaches the moment of the takeover.
      let longest = 0;
      do longest = Math.max(longest, await ask(port));
      while (count(/"msg":"listening"/g) <= turn);
      waits.push(longest);
    }
    const [code] = (await stormEnded) as [number];
    const resumed = [...output.join('').matchAll(/"resumed":(\d+),"lost":(\{[^}]*\})/g)];
    const sum = resumed.reduce((total, [, number]) => total + Number(number), 0);
    const lost = resumed.flatMap(([, , text]) => Object.values(JSON.parse(text!) as Record<string, number>));
    const all = lost.reduce((total, number) => total + number, 0);
    return {
      waits,
      isGood: code === 0 && all === 0,
      text: `${sum} transfers resumed, ${all} lost; the storm ${code === 0 ? 'met its goals' : `ended with ${code}: ${report}`}`,
    };
  } finally {
    keeper.kill('SIGTERM');
    await ended;
  }
}

function waitsText(waits: readonly number[]): string {
  const sorted = waits.toSorted((a, b) => a - b).map((ms) => ms.toFixed(0));
  return `a request waited ${sorted[sorted.length >> 1]} ms at the median, ${sorted.at(-1)} ms at the longest`;
}

async function main(): Promise<number> {
  try {
    const killed = await round(Number(values.kills), (keeper) => process.kill(serverOf(keeper)!, 'SIGKILL'));
    process.stdout.write(`${values.kills} × kill -9: ${killed.text}\n  ${waitsText(killed.waits)}\n`);
    const upgraded = await round(Number(values.upgrades), (keeper) => keeper.kill('SIGUSR2'));
    process.stdout.write(`${values.upgrades} × upgrade: ${upgraded.text}\n  ${waitsText(upgraded.waits)}\n`);
    const inTime = Math.max(...killed.waits) <= MAX_WAIT_MS && Math.max(...upgraded.waits) <= MAX_UPGRADE_MS;
    return killed.isGood && upgraded.isGood && inTime ? 0 : 1;
  } finally {
    rmSync(root, { recursive: true });
  }
}

process.exitCode = await main();
