/** The page of limits (docs/limits.md), made from the `@limit` tags of the source. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { type Limit, limitsIn, type LimitValue } from './limit-tags.ts';

const ROOT = join(import.meta.dirname, '..');

/** Sections of the page, and the rooms of `src` whose limits they list. */
const AREAS: readonly (readonly [title: string, ...rooms: string[]])[] = [
  ['Requests and transfers', 'src/protocol', 'src/server', 'src/session'],
  ['HTTP boot', 'src/http'],
  ['Threads and sockets', 'src/engine', 'src/pool', 'src/keeper'],
  ['Files', 'src/content'],
  ['Boot sets', 'src/boot-set', 'src/redis', 'src/registry', 'src/fleet'],
  ['Configs for nodes', 'src/render', 'src/preview'],
  ['Settings', 'src/config'],
  ['The admin address', 'src/admin', 'src/observe', 'src/daemon'],
  ['Metrics and the log', 'src/telemetry'],
  ['Storm', 'src/storm'],
];

const HEAD = `# Limits

This page is for operators and contributors who want to know what bounds a queue, a table or a time, and what shows that a
limit is reached.

Words in the column *setting* are keys of the [config file](configuration.md) or of a [route](boot-configs.md#routes); a dash
means that the limit is a constant. The column *shows as* names the metric, the log field or the effect that shows that the limit
is reached; a dash means that nobody needs to know. \`npm run limits\` generates this page from the \`@limit\` tags in the
source; do not edit it.
`;

const TAIL = `
Next: [configuration.md](configuration.md) for the settings, [operations.md](operations.md#metrics) for the metrics,
[security.md](security.md) for the limits that an attacker meets.
`;

type Units = readonly (readonly [size: number, name: string])[];
const TIMES: Units = [
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
  [1, 'ms'],
];
const SIZES: Units = [
  [2 ** 30, 'GiB'],
  [2 ** 20, 'MiB'],
  [2 ** 10, 'KiB'],
  [1, 'bytes'],
];

/** Value in the largest unit that divides it. */
function inUnits(value: number, units: Units): string {
  const [size, unit] = units.find(([each]) => value >= each && value % each === 0) ?? units.at(-1)!;
  return `${(value / size).toLocaleString('en-US')} ${unit}`;
}

/** Formats a value in the unit that the name of its constant or key ends in. */
function shown(value: LimitValue, name: string): string {
  if (typeof value !== 'number') {
    return Object.entries(value)
      .map(([key, part]) => `\`${key}\` ${typeof part === 'number' ? shown(part, name) : `(${shown(part, name)})`}`)
      .join(', ');
  }
  if (/(?:Ms|_MS)$/.test(name)) return inUnits(value, TIMES);
  if (/(?:Bytes|_BYTES)$/.test(name)) return inUnits(value, SIZES);
  if (name.endsWith('_MIB')) return inUnits(value * 2 ** 20, SIZES);
  if (name.endsWith('_PERCENT')) return `${value} %`;
  return value.toLocaleString('en-US');
}

function rowOf({ path, name, value, bounds, setting, shows }: Limit): string {
  const place = `\`${name}\` in [${path.split('/').at(-1)!}](../${path})`;
  const cells = [bounds, shown(value, name), setting, shows, place];
  return `| ${cells.map((cell) => cell ?? '–').join(' | ')} |`;
}

/** @throws Error for a limit in a room that belongs to no area. */
function areaOf({ path }: Limit): string {
  const area = AREAS.find(([, ...rooms]) => rooms.some((room) => path.startsWith(`${room}/`)));
  if (area === undefined)
    throw new Error(`${path}: has a @limit, but its room is in no area of scripts/limits-page.ts`);
  return area[0];
}

export function pageOf(limits: readonly Limit[]): string {
  const areas = limits.map(areaOf);
  const tables = AREAS.map(([title]) => {
    const rows = limits.filter((_, index) => areas[index] === title).map(rowOf);
    return [
      '',
      `## ${title}`,
      '',
      '| limit | default | setting | shows as | declared in |',
      '|---|---|---|---|---|',
      ...rows,
      '',
    ].join('\n');
  });
  return HEAD + tables.join('') + TAIL;
}

/** @returns the limits that the source declares, by path and then in the order of the file. */
export function declaredLimits(): Limit[] {
  const paths = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `src/${name.split(sep).join('/')}`)
    .toSorted();
  const texts = paths.map((path) => [path, readFileSync(join(ROOT, path), 'utf8')] as const);
  return limitsIn(Object.fromEntries(texts.filter(([, text]) => text.includes('@limit '))));
}
