import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Asking,
  REAL_CLIENTS,
  type RealClient,
  describeAsking,
  helpOf,
  provideClients,
  run,
} from '../support/clients.ts';
import { built } from '../support/built.ts';
import { CAMPAIGN, SEED, seededBytes } from '../support/content.ts';
import { type LiveServer, serveFolder } from '../support/server.ts';

const SMALL = [0, 1, 511, 512, 513, 14_680];
/** 65,535 full blocks of 512 bytes plus an empty one, and a size well past the wrap of the block number. */
const LARGE = [33_553_920, 40_000_000];
const SIZES = CAMPAIGN ? [...SMALL, ...LARGE] : SMALL;
/** Sizes at one port: all of them only in the campaign, because both modes share everything but the sockets. */
const AT_ONE_PORT = CAMPAIGN ? SIZES : [0, 512, 14_680];
/** Small files are fetched at both addresses. Large files take seconds each, so each is fetched at one address. */
const WHERE = [
  ...SMALL.flatMap((size) => [[size, '127.0.0.1'] as const, [size, '::1'] as const]),
  ...(CAMPAIGN ? [[LARGE[0]!, '127.0.0.1'] as const, [LARGE[1]!, '::1'] as const] : []),
];
const TIMEOUT_MS = 120_000;

interface Row {
  readonly client: RealClient;
  readonly size: number;
  readonly asking: Asking;
  readonly local: string;
  /** File name for this row alone, which tells its transfer from the others. */
  readonly name: string;
  readonly title: string;
}

function rowsOf(client: RealClient): Row[] {
  return client.asks.flatMap((asking) =>
    WHERE.map(([size, local]): Row => {
      const title = `${client.name}, ${size} bytes, ${describeAsking(asking)}, ${local}`;
      return { client, size, asking, local, title, name: title.replaceAll(/[^a-z0-9]+/g, '-') };
    }),
  );
}

const missing = await provideClients();
const contents = new Map(SIZES.map((size) => [size, seededBytes(SEED, size)]));
/** Servers by whether they run all transfers at one port. */
const MODES = [
  ['a port for each transfer', false],
  ['one port', true],
] as const;
const lives = new Map<boolean, LiveServer>();
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reveille-clients-'));
  const root = await mkdtemp(join(folder, 'root-'));
  for (const [size, content] of contents) await writeFile(join(root, `size-${size}`), content);
  for (const { name, size } of REAL_CLIENTS.flatMap(rowsOf)) await symlink(`size-${size}`, join(root, name));
  lives.set(false, await serveFolder(root));
  const single = await serveFolder(root, { singlePort: true, workers: 2 });
  lives.set(true, single);
  // An address gets large windows at one port once it has completed a transfer.
  for (const { address, port } of single.server.addresses) {
    const server = { address, port };
    // oxlint-disable-next-line no-await-in-loop -- there are two.
    await built.fetchFile({ server, filename: 'size-1', mode: 'octet', wish: {}, sink: { write: () => {} } });
  }
});

afterAll(async () => {
  await Promise.all([...lives.values()].map(({ server }) => server.stop(0)));
  await rm(folder, { recursive: true });
});

const INSTALLED = REAL_CLIENTS.filter(({ name }) => !missing.includes(name));

describe.each(
  INSTALLED.flatMap((client) => MODES.map(([mode, isSingle]) => [client.name, mode, client, isSingle] as const)),
)(`%s, %s (content of REVEILLE_SEED=${SEED})`, (_name, _mode, client, isSingle) => {
  const server = (): LiveServer => lives.get(isSingle)!;
  const isRefused = ({ asking, size }: Row): boolean => client.refuses?.(asking, size) === true;
  // `$title` would truncate the titles.
  const rows = (refused: boolean): [string, Row][] =>
    rowsOf(client)
      .filter(({ size }) => !isSingle || AT_ONE_PORT.includes(size))
      .flatMap((row) => (isRefused(row) === refused ? [[row.title, row]] : []));
  const pathOf = (name: string): string => join(folder, `${name}${isSingle ? '-single' : ''}`);
  const download = ({ asking, local, name }: Row, path: string): ReturnType<typeof run> =>
    run(client.command(asking, server().at(local), name, path), TIMEOUT_MS);

  it.concurrent.each(rows(false))('byte for byte: %s', { timeout: TIMEOUT_MS }, async (_title, row) => {
    const { size, asking, local, name } = row;
    const path = pathOf(name);
    const { code, output } = await download(row, path);
    const transfer = await server().transfer(({ file }) => file === name);
    // Where the client fails, the server's record says more than its output.
    expect({ code, output, transfer }).toEqual({ code: 0, output, transfer });
    const bytes = await readFile(path);
    await rm(path);
    expect(bytes.length).toBe(size);
    expect(bytes.equals(contents.get(size)!)).toBe(true);
    const { blksize = 512, windowsize = 1 } = asking;
    expect(transfer).toMatchObject({ outcome: 'complete', blksize, windowsize, size, local });
  });

  it.concurrent.each(rows(true))('are not possible: %s', { timeout: TIMEOUT_MS }, async (_title, row) => {
    const { code } = await download(row, pathOf(row.name));
    expect(code).not.toBe(0);
    const transfer = await server().transfer(({ file }) => file === row.name);
    expect(transfer.outcome).not.toBe('complete');
  });

  // If a client learns these options, add them to its row in the table.
  it('acknowledges no option that was not requested', async () => {
    const help = await helpOf(client);
    expect(help).toMatch(/tftp/i);
    expect(help).not.toMatch(client.hasNoWordFor);
  });
});

describe.runIf(missing.length > 0)('clients that are not installed', () => {
  it.for(missing)('NOT TESTED: %s', (name, { skip }) => {
    expect(missing).toContain(name);
    skip(`${name} is not installed: as root, apt-get install ${name}`);
  });
});
