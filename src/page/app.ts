/** The live page: connects store, connection and views, and draws at most once a frame. */
import { LiveStore } from '../live/live-store.ts';
import { compareRows } from '../live/words.ts';
import type { NodeRow } from '../live/wire.ts';
import { formatCount, formatMany } from '../text/figures.ts';
import { Charts } from './charts.ts';
import { Connection, type ConnectionState } from './connection.ts';
import { byId, el, ofKind, setAttribute, setText } from './dom.ts';
import { NodeView } from './node-view.ts';
import { Panels } from './panels.ts';
import { RackView } from './rack-view.ts';

const GROUPING_KEY = 'reveille-grouping';

const store = new LiveStore();
const connection = new Connection({
  snapshot(snapshot) {
    store.begin(snapshot);
    byId('locked').hidden = true;
    byId('live').hidden = false;
    draw();
  },
  change(change) {
    if (store.apply(change)) draw();
  },
  state: showState,
});
const nodeView = new NodeView(connection);
const open = (id: string): void => nodeView.open(id);
const racks = new RackView(byId('racks'), open);
const panels = new Panels(open);
const charts = new Charts(byId('charts'));
const query = ofKind(HTMLInputElement, 'query');
const grouping = ofKind(HTMLSelectElement, 'grouping');

let isDue = false;
function draw(): void {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    render();
  });
}

/** @returns the grouping that the user chose, while such a label exists; otherwise the best one. */
function groupingIn(groupings: readonly string[]): string {
  const shown = [...grouping.options].map(({ value }) => value);
  if (shown.join('\0') !== groupings.join('\0')) {
    grouping.replaceChildren(...groupings.map((name) => el('option', { value: name }, name)));
  }
  const wanted = localStorage.getItem(GROUPING_KEY) ?? '';
  const chosen = groupings.includes(wanted) ? wanted : (groupings[0] ?? 'subnet');
  if (grouping.value !== chosen) grouping.value = chosen;
  return chosen;
}

function render(): void {
  const { whole } = store;
  if (whole === undefined) return;
  panels.show(whole, store.rows.values(), store.now);
  const wanted = query.value.trim();
  const shown = racks.show(store.rows.values(), groupingIn(whole.groupings), wanted);
  const all = store.rows.size;
  const unlisted = whole.figures.unlisted > 0 ? `, ${formatCount(whole.figures.unlisted)} more not shown` : '';
  setText(
    byId('shown'),
    all === 0
      ? 'No node has sent a request in the last minutes.'
      : wanted === ''
        ? `${formatMany(all, 'node')} in the last minutes${unlisted}`
        : `${formatCount(shown)} of ${formatMany(all, 'node')} match “${wanted}”`,
  );
  byId('nobody').hidden = all > 0;
  byId('legend').hidden = all === 0;
  charts.show(whole.chart);
  const { booting, trouble } = whole.figures;
  document.title = `${trouble > 0 ? `(${trouble}!) ` : ''}${booting > 0 ? `${formatCount(booting)} booting` : 'quiet'} · Reveille`;
}

function showState(state: ConnectionState): void {
  const place = byId('connection');
  setAttribute(place, 'class', `connection ${state.kind}`);
  setText(place, state.kind === 'open' ? 'live' : state.kind === 'lost' ? `${state.why} Trying again …` : 'locked');
  document.body.classList.toggle('stale', state.kind === 'lost');
  if (state.kind === 'locked') {
    byId('live').hidden = true;
    byId('locked').hidden = false;
    const canUnlock = !state.why.includes('set apiToken');
    setText(
      byId('locked-why'),
      canUnlock
        ? ofKind(HTMLInputElement, 'token').value === ''
          ? ''
          : `The server rejected the token: ${state.why}.`
        : `The server has no token: ${state.why}.`,
    );
    byId('unlock').hidden = !canUnlock;
    if (canUnlock) byId('token').focus();
  }
}

byId('unlock').addEventListener('submit', (event) => {
  event.preventDefault();
  connection.open(ofKind(HTMLInputElement, 'token').value.trim());
  nodeView.refresh();
});

query.addEventListener('input', draw);
byId('find').addEventListener('submit', (event) => {
  event.preventDefault();
  const wanted = query.value.trim();
  if (wanted === '') return;
  const found = [...store.rows.values()].filter((row) => isCalled(row, wanted)).toSorted(compareRows);
  open(found[0]?.id ?? wanted);
});

function isCalled({ name, id, mac }: NodeRow, wanted: string): boolean {
  const text = wanted.toLowerCase();
  return name.toLowerCase() === text || id === text || mac === text.replaceAll('-', ':');
}

grouping.addEventListener('change', () => {
  localStorage.setItem(GROUPING_KEY, grouping.value);
  draw();
});

addEventListener('keydown', (event) => {
  const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  query.focus();
});

// Relative times must go on even when the server is silent.
setInterval(draw, 5000);
connection.open();
