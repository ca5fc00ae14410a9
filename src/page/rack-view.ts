/**
 * The nodes by rack: those in trouble first and in full, those under way as tiles or, when there are many, as chips,
 * finished ones as chips. Knows rows and elements; arrow keys move from node to node.
 */
import { compareNames, compareRows, stateWords } from '../live/words.ts';
import { type NodeRow, TROUBLE } from '../live/wire.ts';
import { formatMany, formatRate } from '../text/figures.ts';
import { el, KeyedList, setAttribute, setText } from './dom.ts';

/** More nodes under way than this are drawn as chips; a phone has room for fewer. */
const MAX_TILES = 240;
const MAX_TILES_NARROW = 40;
const NARROW = matchMedia('(max-width: 44rem)');
/** Maximum number of chips of finished nodes in one group; the others are a number until the user opens them. */
const MAX_CHIPS = 96;

interface Group {
  readonly name: string;
  readonly trouble: readonly NodeRow[];
  readonly active: readonly NodeRow[];
  readonly done: readonly NodeRow[];
}

/** @returns the common start of all names in a group, shown once in its head. */
function commonStart(names: readonly string[]): string {
  const [first = '', ...rest] = names;
  if (rest.length === 0) return '';
  let length = first.length;
  for (const name of rest) {
    let same = 0;
    while (same < length && name[same] === first[same]) same++;
    length = same;
  }
  return first.slice(0, length).replace(/[^.:_-]*$/, '');
}

/** The description of a node for screen readers and as a tooltip. */
export function rowWords(row: NodeRow): string {
  const file = row.file === '' ? '' : `, ${row.file}`;
  const percent = row.state === 'done' ? '' : ` ${row.percent} %`;
  const version = row.version === '' ? '' : `, ${row.version}`;
  const again = row.retransmits === 0 ? '' : `, ${formatMany(row.retransmits, 'packet')} retransmitted`;
  return row.why === ''
    ? `${row.name}: ${stateWords(row.state)}${file}${percent}${version}${again}`
    : `${row.name}: ${stateWords(row.state)}. ${row.why}`;
}

function glyph(row: NodeRow): string {
  if (TROUBLE.has(row.state)) return '!';
  return row.state === 'done' ? '✓' : '';
}

function fill(element: HTMLElement, row: NodeRow): void {
  element.style.setProperty('--part', `${row.percent}%`);
}

export class RackView {
  readonly #place: HTMLElement;
  readonly #groups: KeyedList<Group>;
  readonly #lists = new Map<string, GroupLists>();
  #asTiles = true;
  #grouping = '';

  /** @param open shows one node. */
  constructor(place: HTMLElement, open: (id: string) => void) {
    this.#place = place;
    this.#groups = new KeyedList<Group>(
      place,
      (group) => {
        const lists = new GroupLists();
        this.#lists.set(group.name, lists);
        return lists.element;
      },
      (_, group) => this.#lists.get(group.name)!.show(group, this.#asTiles, this.#grouping),
    );
    place.addEventListener('click', (event) => {
      const button = (event.target as Element).closest<HTMLElement>('[data-node]');
      if (button !== null) open(button.dataset['node']!);
    });
    place.addEventListener('keydown', (event) => this.#onKey(event));
  }

  /** @returns the number of nodes shown. */
  show(rows: Iterable<NodeRow>, grouping: string, wanted: string): number {
    this.#grouping = grouping;
    const found = [...rows].filter((row) => matches(row, wanted));
    const byGroup = new Map<string, NodeRow[]>();
    for (const row of found) {
      const name = row.groups[grouping] ?? '';
      const members = byGroup.get(name);
      if (members === undefined) byGroup.set(name, [row]);
      else members.push(row);
    }
    const groups = [...byGroup]
      .map(([name, members]): Group => {
        members.sort(compareRows);
        return {
          name,
          trouble: members.filter(({ state }) => TROUBLE.has(state)),
          active: members.filter(({ state }) => !TROUBLE.has(state) && state !== 'done'),
          done: members.filter(({ state }) => state === 'done'),
        };
      })
      .toSorted((a, b) => rankOf(a) - rankOf(b) || compareNames(a.name, b.name));
    this.#asTiles =
      groups.reduce((sum, { active }) => sum + active.length, 0) <= (NARROW.matches ? MAX_TILES_NARROW : MAX_TILES);
    this.#groups.show(groups, ({ name }) => name);
    for (const name of this.#lists.keys()) if (!byGroup.has(name)) this.#lists.delete(name);
    this.#keepOneStop();
    return found.length;
  }

  /** Keeps one button in the tab order; arrow keys move on from there. */
  #keepOneStop(): void {
    const buttons = this.#buttons();
    const stop = buttons.find((button) => button.tabIndex === 0) ?? buttons[0];
    for (const button of buttons) {
      const index = button === stop ? 0 : -1;
      if (button.tabIndex !== index) button.tabIndex = index;
    }
  }

  #buttons(): HTMLElement[] {
    return [...this.#place.querySelectorAll<HTMLElement>('button:not([hidden])')];
  }

  #onKey(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const buttons = this.#buttons();
    const at = buttons.indexOf(event.target as HTMLElement);
    if (at < 0) return;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    const next = to === undefined ? this.#above(buttons, at, event.key) : buttons[to];
    if (next === undefined) return;
    event.preventDefault();
    buttons[at]!.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  /** @returns the nearest button in the next line up or down. */
  #above(buttons: readonly HTMLElement[], at: number, key: string): HTMLElement | undefined {
    if (key !== 'ArrowUp' && key !== 'ArrowDown') return undefined;
    const own = buttons[at]!.getBoundingClientRect();
    const isDown = key === 'ArrowDown';
    const others = isDown ? buttons.slice(at + 1) : buttons.slice(0, at).toReversed();
    let line: number | undefined;
    let best: { readonly button: HTMLElement; readonly off: number } | undefined;
    for (const button of others) {
      const { top, bottom, left } = button.getBoundingClientRect();
      const isBeyond = isDown ? top >= own.bottom - 1 : bottom <= own.top + 1;
      if (!isBeyond) continue;
      line ??= top;
      if (Math.abs(top - line) > 2) break;
      const off = Math.abs(left - own.left);
      if (best === undefined || off < best.off) best = { button, off };
    }
    return best?.button;
  }
}

function rankOf({ trouble, active }: Group): number {
  if (trouble.length > 0) return 0;
  return active.length > 0 ? 1 : 2;
}

function matches({ name, id, mac, file, version }: NodeRow, wanted: string): boolean {
  if (wanted === '') return true;
  const plain = wanted.toLowerCase().replaceAll('-', ':');
  return (
    [name, id, file, version].some((text) => text.toLowerCase().includes(wanted.toLowerCase())) || mac.includes(plain)
  );
}

/** One group's head and its lists. */
class GroupLists {
  readonly element: HTMLElement;
  readonly #title = el('h3');
  readonly #counts = el('p', { class: 'counts' });
  readonly #tilesPlace = el('div', { class: 'tiles' });
  readonly #chipsPlace = el('div', { class: 'chips' });
  readonly #more = el('button', { type: 'button', class: 'more', tabindex: '-1' });
  readonly #tiles: KeyedList<NodeRow>;
  readonly #chips: KeyedList<NodeRow>;
  #start = '';
  #wantsAll = false;

  constructor() {
    this.#tiles = new KeyedList<NodeRow>(this.#tilesPlace, makeTile, (element, row) =>
      updateTile(element, row, this.#start),
    );
    this.#chips = new KeyedList<NodeRow>(this.#chipsPlace, makeChip, (element, row) =>
      updateChip(element, row, this.#start),
    );
    this.#more.addEventListener('click', () => {
      this.#wantsAll = true;
      this.#more.hidden = true;
    });
    this.element = el(
      'section',
      { class: 'group' },
      el('header', {}, this.#title, this.#counts),
      this.#tilesPlace,
      this.#chipsPlace,
      this.#more,
    );
  }

  show({ name, trouble, active, done }: Group, asTiles: boolean, grouping: string): void {
    const all = [...trouble, ...active, ...done];
    this.#start = commonStart(all.map((row) => row.name));
    setText(this.#title, name === '' ? `no ${grouping}` : grouping === 'subnet' ? name : `${grouping} ${name}`);
    const counts = [
      trouble.length > 0 ? `${trouble.length} ${trouble.length === 1 ? 'needs' : 'need'} a look` : '',
      active.length > 0 ? `${active.length} under way` : '',
      done.length > 0 ? `${done.length} all sent` : '',
    ].filter((text) => text !== '');
    setText(this.#counts, counts.join(' · '));
    const isBad = trouble.length > 0;
    this.element.classList.toggle('has-trouble', isBad);
    this.#tiles.show(asTiles ? [...trouble, ...active] : trouble, ({ id }) => id);
    const shownDone = this.#wantsAll ? done : done.slice(0, MAX_CHIPS);
    this.#chips.show(asTiles ? shownDone : [...active, ...shownDone], ({ id }) => id);
    const left = done.length - shownDone.length;
    this.#more.hidden = left === 0;
    setText(this.#more, `and ${formatMany(left, 'node')} more`);
  }
}

function makeTile(row: NodeRow): HTMLElement {
  return el(
    'button',
    { type: 'button', class: 'tile', 'data-node': row.id, tabindex: '-1' },
    el('span', { class: 'line' }, el('span', { class: 'name' }), el('span', { class: 'percent' })),
    el('span', { class: 'line small' }, el('span', { class: 'file' }), el('span', { class: 'rate' })),
    el('span', { class: 'bar-track' }, el('span', { class: 'bar-fill' })),
  );
}

/** Longer names are cut where the names of the group begin to differ: `.23` below 192.0.2.0/24. */
const WHOLE_NAME = 8;

function tileName({ name }: NodeRow, start: string): string {
  return name.length <= WHOLE_NAME || start === '' ? name : name.slice(start.length - 1);
}

function updateTile(tile: HTMLElement, row: NodeRow, start: string): void {
  const [name, percent, file, rate] = ['.name', '.percent', '.file', '.rate'].map((part) => tile.querySelector(part)!);
  const isBad = TROUBLE.has(row.state);
  setAttribute(tile, 'class', `tile ${isBad ? `bad ${row.state}` : row.state}`);
  const shown = tileName(row, start);
  setText(name!, isBad ? `! ${shown}` : shown);
  const isAsking = row.state === 'waiting' || row.state === 'opening';
  setText(percent!, isBad && row.silent > 0 ? shortTime(row.silent) : isAsking ? '…' : `${row.percent} %`);
  setText(file!, isBad ? `${stateWords(row.state)}: ${lastPart(row.file)}` : lastPart(row.file));
  setText(
    rate!,
    [row.rate > 0 ? shortRate(row.rate) : '', row.retransmits > 0 ? `↻${row.retransmits}` : ''].join(' ').trim(),
  );
  const words = rowWords(row);
  setAttribute(tile, 'title', words);
  setAttribute(tile, 'aria-label', words);
  fill(tile, row);
}

/** Formats a time for a narrow tile: `45 s`, `12 min`. */
function shortTime(seconds: number): string {
  return seconds < 100 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

/** Formats a rate with two significant digits. */
function shortRate(bytesPerS: number): string {
  return formatRate(Number(bytesPerS.toPrecision(2)))
    .replace(/(\.\d)0 /, '$1 ')
    .replace('.0 ', ' ');
}

function makeChip(row: NodeRow): HTMLElement {
  return el('button', { type: 'button', class: 'chip', 'data-node': row.id, tabindex: '-1' });
}

function updateChip(chip: HTMLElement, row: NodeRow, start: string): void {
  setAttribute(chip, 'class', `chip ${row.state}`);
  const mark = glyph(row);
  const short = row.name.slice(start.length);
  setText(chip, mark === '' ? short : `${mark} ${short}`);
  const words = rowWords(row);
  setAttribute(chip, 'title', words);
  setAttribute(chip, 'aria-label', words);
  fill(chip, row);
}

/** @returns the last part of a path: tiles are narrow, and the title has the whole path. */
function lastPart(file: string): string {
  return file.slice(file.lastIndexOf('/') + 1);
}
