/**
 * The screen of `reveille top`, as lines of a terminal: the same as the page, in the same order. Pure text and colors.
 */
import { troubleGroups, troubleGroupWords } from '../../live/trouble-groups.ts';
import { about, AREA_MARKS, AREA_WORDS, compareNames, compareRows, headlineOf, stateWords } from '../../live/words.ts';
import { type AreaState, type LiveSnapshot, type NodeRow, TROUBLE } from '../../live/wire.ts';
import { safeText } from '../../text/escape.ts';
import { formatCount, formatMany, formatRate, formatShare } from '../../text/figures.ts';

export interface TopOptions {
  /** Columns, at least 20. */
  readonly width: number;
  /** Lines; parts without room are left out from the end. */
  readonly height: number;
  readonly colour: boolean;
  /** Address of the server. */
  readonly address: string;
  /** Milliseconds since the epoch, by the server's clock. */
  readonly now: number;
  /** A label of the inventory, or `subnet`; undefined: the best one. */
  readonly grouping?: string | undefined;
}

type Tone = 'bad' | 'watch' | 'good' | 'muted' | 'strong';

const CODES: Readonly<Record<Tone, string>> = { bad: '31;1', watch: '33;1', good: '32', muted: '2', strong: '1' };
const AREA_TONES: Readonly<Record<AreaState, Tone>> = { fine: 'good', quiet: 'muted', watch: 'watch', bad: 'bad' };
/** Maximum number of trouble groups shown. */
const MAX_TROUBLE_GROUPS = 8;
const BAR_CELLS = 20;

/** Cuts the text, then colors it: color codes take no room. */
function line(
  width: number,
  colour: boolean,
  parts: readonly (readonly [text: string, tone?: Tone | undefined])[],
): string {
  let room = width;
  let shown = '';
  for (const [text, tone] of parts) {
    if (room <= 0) break;
    const clean = safeText(text);
    const cut = clean.length <= room ? clean : `${clean.slice(0, room - 1)}…`;
    room -= cut.length;
    shown += colour && tone !== undefined && cut !== '' ? `\x1b[${CODES[tone]}m${cut}\x1b[0m` : cut;
  }
  return shown.trimEnd();
}

function bar(percent: number, cells: number): string {
  const full = Math.min(cells, Math.floor((percent / 100) * cells));
  return `[${'='.repeat(full)}${'-'.repeat(cells - full)}]`;
}

/** Draws `[xx===---]`: trouble, everything sent, under way. */
function groupBar(trouble: number, active: number, done: number): string {
  const all = trouble + active + done;
  const bad = trouble === 0 ? 0 : Math.max(1, Math.round((trouble / all) * BAR_CELLS));
  const good = Math.min(BAR_CELLS - bad, Math.floor((done / all) * BAR_CELLS));
  return `[${'x'.repeat(bad)}${'='.repeat(good)}${'-'.repeat(BAR_CELLS - bad - good)}]`;
}

function figuresLine({ figures }: LiveSnapshot): string {
  const { active, queued, bytesPerS, requestsPerS, firstReplyP99, retransmitShare } = figures;
  return [
    formatRate(bytesPerS),
    `${formatMany(active, 'transfer')}${queued > 0 ? `, ${formatCount(queued)} waiting` : ''}`,
    `${formatMany(requestsPerS, 'request')}/s`,
    firstReplyP99 === null ? '' : `first reply ${about(firstReplyP99)} (p99)`,
    retransmitShare === null ? '' : `${formatShare(retransmitShare, 1)} retransmitted`,
  ]
    .filter((text) => text !== '')
    .join(' · ');
}

interface Group {
  readonly name: string;
  readonly rows: readonly NodeRow[];
  readonly trouble: number;
  readonly done: number;
}

function groupsOf(rows: readonly NodeRow[], grouping: string): Group[] {
  const groups = new Map<string, NodeRow[]>();
  for (const row of rows) {
    const name = row.groups[grouping] ?? '';
    const members = groups.get(name);
    if (members === undefined) groups.set(name, [row]);
    else members.push(row);
  }
  return [...groups]
    .map(([name, members]) => ({
      name,
      rows: members,
      trouble: members.filter(({ state }) => TROUBLE.has(state)).length,
      done: members.filter(({ state }) => state === 'done').length,
    }))
    .toSorted((a, b) => Number(b.trouble > 0) - Number(a.trouble > 0) || compareNames(a.name, b.name));
}

/** @param whole the state without nodes. @param rows the nodes, in any order. */
export function renderTop(whole: LiveSnapshot, rows: readonly NodeRow[], options: TopOptions): string[] {
  const { width, height, colour, address, now } = options;
  const draw = (...parts: readonly (readonly [string, (Tone | undefined)?])[]): string => line(width, colour, parts);
  const { version, startedAt } = whole.server;
  const isBad = whole.figures.trouble > 0 || !whole.server.ready;
  const lines = [
    draw(['Reveille', 'strong'], [` ${version} at ${address}, up ${about(Math.max(1000, now - startedAt))}`, 'muted']),
    draw([headlineOf(whole, now), isBad ? 'bad' : 'strong']),
    draw([figuresLine(whole)]),
    '',
    ...whole.areas.map(({ area, state, headline, detail }) => {
      const tone = AREA_TONES[state];
      const more = state === 'bad' || state === 'watch' ? `. ${detail}` : '';
      return draw([` ${AREA_MARKS[state][0]} `, tone], [AREA_WORDS[area].padEnd(24)], [headline, tone], [more]);
    }),
  ];
  const groups = troubleGroups(rows);
  if (groups.length > 0) lines.push('', draw(['Needs a look', 'strong']));
  for (const group of groups.slice(0, MAX_TROUBLE_GROUPS)) {
    const [first] = group.rows;
    const count = group.rows.length;
    const what = `${count > 1 ? `${count} ` : ''}${stateWords(first!.state)}`;
    lines.push(
      draw([` ! ${what.padEnd(20)}`, 'bad'], [count > 1 ? '' : `${first!.name}: `], [troubleGroupWords(group)]),
    );
    if (count > 1) lines.push(draw([`   ${group.rows.map(({ name }) => name).join(' ')}`, 'muted']));
  }
  lines.push(...nodeLines(whole, rows, options, Math.max(0, height - lines.length - 2)));
  return lines.slice(0, height);
}

function nodeLines(whole: LiveSnapshot, rows: readonly NodeRow[], options: TopOptions, room: number): string[] {
  const { width, colour } = options;
  const draw = (...parts: readonly (readonly [string, (Tone | undefined)?])[]): string => line(width, colour, parts);
  if (rows.length === 0) return ['', draw(['No node has sent a request in the last minutes.', 'muted'])];
  const asked = options.grouping;
  const grouping = asked !== undefined && whole.groupings.includes(asked) ? asked : (whole.groupings[0] ?? 'subnet');
  const groups = groupsOf(rows, grouping);
  const longest = Math.max(...groups.map(({ name }) => name.length), 4);
  const lines = groups.map(({ name, rows: members, trouble, done }) => {
    const active = members.length - trouble - done;
    const counts = [
      trouble > 0 ? `${trouble} ${trouble === 1 ? 'needs' : 'need'} a look` : '',
      active > 0 ? `${active} under way` : '',
      done > 0 ? `${done} all sent` : '',
    ].filter((text) => text !== '');
    return draw(
      [` ${(name === '' ? '–' : name).padEnd(longest)} `],
      [groupBar(trouble, active, done), trouble > 0 ? 'bad' : undefined],
      [` ${counts.join(', ')}`],
    );
  });
  const head = draw([`Nodes by ${grouping}`, 'strong'], [`  x needs a look, = all sent, - under way`, 'muted']);
  const active = rows.filter(({ state }) => !TROUBLE.has(state) && state !== 'done').toSorted(compareRows);
  const left = room - lines.length - 2;
  if (active.length === 0 || left < 2) return ['', head, ...lines];
  const longestName = Math.max(...active.slice(0, left).map(({ name }) => name.length));
  const nodes = active.slice(0, active.length > left ? left - 1 : left).map((row) => {
    const file = row.file.slice(row.file.lastIndexOf('/') + 1);
    const again = row.retransmits > 0 ? ` ${row.retransmits} retransmitted` : '';
    const rate = row.rate > 0 ? formatRate(row.rate) : stateWords(row.state);
    return draw(
      [` ${row.name.padEnd(longestName)} `],
      [bar(row.percent, 10)],
      [` ${String(row.percent).padStart(3)} % ${rate.padEnd(10)} ${file}${again}`],
    );
  });
  const more =
    active.length > left ? [draw([` and ${formatMany(active.length - nodes.length, 'node')} more`, 'muted'])] : [];
  return ['', head, ...lines, '', ...nodes, ...more];
}
