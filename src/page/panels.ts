/** The panels beside the nodes: headline, areas, trouble, problems, boot sets, memory. */
import { type TroubleGroup, troubleGroups, troubleGroupWords } from '../live/trouble-groups.ts';
import { about, ago, AREA_MARKS, AREA_WORDS, headlineOf, registryWords, skewText, stateWords } from '../live/words.ts';
import type { AreaReport, CacheRow, ChannelRow, FleetRow, LiveSnapshot, NodeRow, Problem } from '../live/wire.ts';
import { formatBytes, formatCount, formatMany, formatRate, formatShare } from '../text/figures.ts';
import { byId, el, KeyedList, setAttribute, setText } from './dom.ts';

/** Maximum number of trouble groups, and of nodes in each; the rack view shows all of them. */
const MAX_TROUBLE_GROUPS = 12;
const MAX_NAMES = 48;
function figuresOf({ figures }: LiveSnapshot): readonly (readonly [string, string, string])[] {
  const { active, queued, bytesPerS, requestsPerS, retransmitShare, firstReplyP99 } = figures;
  return [
    ['Sending', formatRate(bytesPerS), ''],
    ['Transfers', formatCount(active), queued > 0 ? `${formatCount(queued)} waiting` : 'none waiting'],
    ['Requests', `${formatCount(requestsPerS)}/s`, ''],
    [
      'First reply, p99',
      firstReplyP99 === null ? '–' : firstReplyP99 < 1 ? '< 1 ms' : about(firstReplyP99),
      'last minute',
    ],
    ['Retransmitted', retransmitShare === null ? '–' : formatShare(retransmitShare, 1), 'last minute'],
  ];
}

class Areas {
  readonly #list = new KeyedList<AreaReport>(
    byId('areas'),
    () =>
      el(
        'li',
        {},
        el('span', { class: 'mark', 'aria-hidden': 'true' }),
        el(
          'div',
          {},
          el('p', { class: 'area-name' }),
          el('p', { class: 'area-head' }),
          el('p', { class: 'area-detail' }),
        ),
      ),
    (element, { area, state, headline, detail }) => {
      setAttribute(element, 'class', `area ${state}`);
      const [mark, word] = AREA_MARKS[state];
      const [markPlace, name, head, text] = ['.mark', '.area-name', '.area-head', '.area-detail'].map(
        (part) => element.querySelector(part)!,
      );
      setText(markPlace!, mark);
      setText(name!, AREA_WORDS[area]);
      setText(head!, headline);
      setText(text!, detail);
      setAttribute(element, 'aria-label', `${AREA_WORDS[area]}, ${word}: ${headline}. ${detail}`);
    },
  );

  show(areas: readonly AreaReport[]): void {
    this.#list.show(areas, ({ area }) => area);
  }
}

class Trouble {
  readonly #list: KeyedList<TroubleGroup>;
  readonly #names = new WeakMap<HTMLElement, KeyedList<NodeRow>>();

  constructor(open: (id: string) => void) {
    this.#list = new KeyedList<TroubleGroup>(
      byId('trouble-list'),
      () => {
        const names = el('ul', { class: 'names' });
        const element = el('li', {}, el('p', { class: 'state' }), el('div', {}, el('p', { class: 'why' }), names));
        this.#names.set(
          element,
          new KeyedList<NodeRow>(
            names,
            ({ id }) => {
              const button = el('button', { type: 'button' });
              button.addEventListener('click', () => open(id));
              return el('li', {}, button);
            },
            (item, row) => setText(item.firstElementChild!, row.name),
          ),
        );
        return element;
      },
      (element, group) => {
        const { rows } = group;
        const [first] = rows;
        const many = rows.length > 1 ? `${formatCount(rows.length)} ` : '';
        setText(element.querySelector('.state')!, `${many}${stateWords(first!.state)}`);
        setText(element.querySelector('.why')!, troubleGroupWords(group));
        this.#names.get(element)!.show(rows.slice(0, MAX_NAMES), ({ id }) => id);
      },
    );
  }

  show(rows: Iterable<NodeRow>): void {
    const groups = troubleGroups(rows);
    byId('trouble').hidden = groups.length === 0;
    this.#list.show(groups.slice(0, MAX_TROUBLE_GROUPS), ({ key }) => key);
  }
}

class Problems {
  readonly #empty = el('p', { class: 'empty' }, 'None.');
  readonly #items = el('ol', { class: 'problems' });
  readonly #list: KeyedList<Problem>;

  constructor(open: (id: string) => void) {
    byId('problems').append(this.#empty, this.#items);
    this.#list = new KeyedList<Problem>(
      this.#items,
      () => {
        const node = el('button', { type: 'button', class: 'link' });
        node.addEventListener('click', () => open(node.textContent ?? ''));
        return el(
          'li',
          {},
          el('p', { class: 'problem-file' }),
          el('p', { class: 'problem-what' }),
          el('p', { class: 'muted' }, el('span'), node),
        );
      },
      (element, problem) => {
        setAttribute(element, 'class', problem.stopped > 0 ? 'bad' : '');
        setText(element.querySelector('.problem-file')!, problem.file);
        const stopped = problem.stopped > 0 ? `; ${formatMany(problem.stopped, 'node')} stopped there` : '';
        setText(element.querySelector('.problem-what')!, `${problem.what}${stopped}`);
        setText(
          element.querySelector('span')!,
          `${formatMany(problem.count, 'time')}, ${ago(this.#now - problem.lastAt)} by `,
        );
        setText(element.querySelector('button')!, problem.node);
      },
    );
  }

  #now = 0;

  show(problems: readonly Problem[], now: number): void {
    this.#now = now;
    this.#empty.hidden = problems.length > 0;
    this.#list.show(problems, ({ what, file }) => `${what}\0${file}`);
  }
}

function channelTable(channels: readonly ChannelRow[]): HTMLElement {
  // Only a fleet has a column for the registry.
  const isFleet = channels.some(({ registry }) => registry !== undefined);
  const rows = channels.map(({ name, current, pins, registry }) => {
    const boots = pins.map(
      ({ version, boots: count }) =>
        `${formatMany(count, 'node')} on ${version}${version === current ? '' : ' (not current)'}`,
    );
    return el(
      'tr',
      {},
      el('th', { scope: 'row' }, name),
      el('td', {}, current === null ? '–' : String(current)),
      ...(isFleet ? [el('td', {}, registryWords(registry))] : []),
      el('td', {}, boots.length === 0 ? 'none' : boots.join(', ')),
    );
  });
  return el(
    'table',
    {},
    el('caption', { class: 'visually-hidden' }, 'Channels, their current versions, and the versions that nodes boot'),
    el(
      'thead',
      {},
      el(
        'tr',
        {},
        el('th', { scope: 'col' }, 'channel'),
        el('th', { scope: 'col' }, 'current'),
        ...(isFleet ? [el('th', { scope: 'col' }, 'registry')] : []),
        el('th', { scope: 'col' }, 'boots under way'),
      ),
    ),
    el('tbody', {}, ...rows),
  );
}

function fleetTable(servers: readonly FleetRow[]): HTMLElement {
  const head = ['server', 'version', 'channels', 'staged', 'boots under way', 'transfers', 'clock'];
  const rows = servers.map((server) => {
    const { behind, behindNames, channels, transfers, sessions } = server;
    const more = behind > behindNames.length ? ', …' : '';
    const state = behind === 0 ? '' : `, ${formatCount(behind)} behind: ${behindNames.join(', ')}${more}`;
    const cells = [
      server.version,
      `${formatCount(channels)}${state}`,
      formatMany(server.staged, 'version'),
      formatCount(server.pins),
      `${formatCount(transfers)} of ${formatCount(sessions)}`,
      skewText(server.skewMs),
    ];
    return el(
      'tr',
      behind === 0 ? {} : { class: 'bad' },
      el('th', { scope: 'row' }, server.isThis ? `${server.name} (this one)` : server.name),
      ...cells.map((text) => el('td', {}, text)),
    );
  });
  return el(
    'table',
    {},
    el(
      'caption',
      { class: 'visually-hidden' },
      'Live servers of the fleet, the channels in which they are behind, and their load',
    ),
    el('thead', {}, el('tr', {}, ...head.map((text) => el('th', { scope: 'col' }, text)))),
    el('tbody', {}, ...rows),
  );
}

function cacheFacts({
  heldBytes,
  idleBytes,
  shelvedBytes,
  entries,
  hits,
  misses,
  evictions,
}: CacheRow): [string, string][] {
  return [
    ['In transfers', formatBytes(heldBytes)],
    ['Kept for later transfers', formatBytes(idleBytes)],
    ...(shelvedBytes > 0 ? ([['Kept for boot sets', formatBytes(shelvedBytes)]] as [string, string][]) : []),
    ['Contents', formatCount(entries)],
    [
      'Found in memory',
      hits + misses === 0 ? '–' : `${formatShare(hits, hits + misses)} of ${formatCount(hits + misses)}`,
    ],
    ['Evicted to make room', formatCount(evictions)],
  ];
}

/** A list of fixed terms whose descriptions change. */
class Facts {
  readonly #list: KeyedList<readonly [string, string, string?]>;

  constructor(place: HTMLElement) {
    this.#list = new KeyedList(
      place,
      ([term]) => el('div', {}, el('dt', {}, term), el('dd', {})),
      (element, [, value, note]) => {
        const description = element.querySelector('dd')!;
        if (note === undefined) setText(description, value);
        else if (description.dataset['shown'] !== `${value}|${note}`) {
          description.dataset['shown'] = `${value}|${note}`;
          description.replaceChildren(value, el('small', {}, note === '' ? ' ' : note));
        }
      },
    );
  }

  show(facts: readonly (readonly [string, string, string?])[]): void {
    this.#list.show(facts, ([term]) => term);
  }
}

/** Says what became of the servers before this one. */
function pastOf({ deaths, upgrades }: LiveSnapshot['server']): string {
  const died = deaths === 0 ? '' : `; ${formatMany(deaths, 'server')} before it died`;
  return `${died}${upgrades === 0 ? '' : `; ${formatMany(upgrades, 'upgrade')} so far`}`;
}

export class Panels {
  readonly #areas = new Areas();
  readonly #trouble: Trouble;
  readonly #problems: Problems;
  readonly #figures = new Facts(byId('figures'));
  readonly #cache = new Facts(byId('cache'));
  #channels: readonly ChannelRow[] | undefined;
  #fleet: readonly FleetRow[] | undefined;
  #said = -1;

  /** @param open shows one node. */
  constructor(open: (id: string) => void) {
    this.#trouble = new Trouble(open);
    this.#problems = new Problems(open);
  }

  show(whole: LiveSnapshot, rows: Iterable<NodeRow>, now: number): void {
    const all = [...rows];
    const headline = headlineOf(whole, now);
    setText(byId('headline'), headline);
    byId('headline').classList.toggle('bad', whole.figures.trouble > 0 || !whole.server.ready);
    // Screen readers announce the headline when trouble changes, not every second.
    if (whole.figures.trouble !== this.#said) setText(byId('say'), headline);
    this.#said = whole.figures.trouble;
    this.#figures.show(figuresOf(whole));
    this.#areas.show(whole.areas);
    this.#trouble.show(all);
    this.#problems.show(whole.problems, now);
    this.#cache.show(cacheFacts(whole.cache));
    if (this.#channels !== whole.channels) {
      this.#channels = whole.channels;
      byId('channels-panel').hidden = whole.channels.length === 0;
      byId('channels').replaceChildren(channelTable(whole.channels));
    }
    if (this.#fleet !== whole.fleet) {
      this.#fleet = whole.fleet;
      byId('fleet-panel').hidden = whole.fleet.length === 0;
      byId('fleet').replaceChildren(fleetTable(whole.fleet));
    }
    const { server } = whole;
    setText(byId('where'), location.host);
    setText(
      byId('foot'),
      `Reveille ${server.version}, ${server.engine} engine, ${formatMany(server.workers, 'worker')}${server.singlePort ? ', one port for all transfers' : ''}, listening on ${[...server.addresses, ...server.http].join(', ') || 'nothing yet'}; running for ${about(Math.max(1000, now - server.startedAt))}${pastOf(server)}.`,
    );
  }
}
