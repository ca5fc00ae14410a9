/** One node: its name, where its last boot stopped and what that usually means, and its last boots as timelines. */
import { about, AREA_WORDS, factsOf, offset, stateWords } from '../live/words.ts';
import { type Ask, type Boot, type BootStep, type NodeReport, TROUBLE } from '../live/wire.ts';
import { formatBytes, formatMany } from '../text/figures.ts';
import type { Connection } from './connection.ts';
import { byId, el, ofKind, setText } from './dom.ts';

/** Interval of updates while the view is open, in milliseconds. */
const AGAIN_MS = 2000;

const ANSWER_MARKS: Readonly<Record<Ask['answer'], readonly [mark: string, tone: string]>> = {
  sending: ['▸', 'on'],
  sent: ['✓', 'done'],
  size: ['✓', 'done'],
  refused: ['✕', 'off'],
  failed: ['!', 'bad'],
  nothing: ['?', 'bad'],
};

function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString(undefined, { hour12: false });
}

function day(ms: number, now: number): string {
  const date = new Date(ms);
  return date.toDateString() === new Date(now).toDateString()
    ? clock(ms)
    : `${date.toLocaleDateString(undefined, { weekday: 'short', day: 'numeric', month: 'short' })}, ${clock(ms)}`;
}

function stepElement(step: BootStep, boot: Boot): HTMLElement {
  const whole = Math.max(1, boot.tookMs);
  const from = ((step.at - boot.at) / whole) * 100;
  const width = (step.tookMs / whole) * 100;
  if (step.step === 'gap') {
    return el(
      'li',
      { class: step.tookMs >= 10_000 ? 'gap long' : 'gap' },
      el('span', { class: 'at' }, offset(step.at - boot.at)),
      el('span', { class: 'what' }, `no request for ${about(step.tookMs)}`),
    );
  }
  const [mark, tone] = ANSWER_MARKS[step.answer];
  const bar = el('span', { class: `span ${tone}` });
  bar.style.setProperty('--from', `${Math.min(99.5, Math.max(0, from))}%`);
  bar.style.setProperty('--width', `${Math.min(100, Math.max(0.5, width))}%`);
  return el(
    'li',
    { class: tone },
    el('span', { class: 'at' }, offset(step.at - boot.at)),
    el('span', { class: `mark ${tone}`, 'aria-hidden': 'true' }, mark),
    el(
      'div',
      { class: 'what' },
      el('p', { class: 'step-file' }, step.file),
      el(
        'p',
        { class: 'step-end' },
        step.answer === 'sent' || step.answer === 'sending' ? '' : step.what,
        step.answer === 'sending' ? step.what : '',
      ),
      el('p', { class: 'muted' }, factsOf(step).join(' · ')),
    ),
    el('span', { class: 'track', 'aria-hidden': 'true' }, bar),
  );
}

/** Consecutive refusals become one line: a loader that searches has a dozen. */
function searchElement(steps: readonly Ask[], boot: Boot): HTMLElement {
  const list = el('ol', { class: 'steps' }, ...steps.map((step) => stepElement(step, boot)));
  return el(
    'li',
    { class: 'search' },
    el('span', { class: 'at' }, offset(steps[0]!.at - boot.at)),
    el('span', { class: 'mark off', 'aria-hidden': 'true' }, '✕'),
    el(
      'details',
      { class: 'what' },
      el(
        'summary',
        {},
        `tried ${formatMany(steps.length, 'name')} that do not exist, the last one: ${steps.at(-1)!.file}`,
      ),
      list,
    ),
  );
}

function stepElements(boot: Boot): HTMLElement[] {
  const elements: HTMLElement[] = [];
  let search: Ask[] = [];
  const flush = (): void => {
    if (search.length > 2) elements.push(searchElement(search, boot));
    else elements.push(...search.map((step) => stepElement(step, boot)));
    search = [];
  };
  for (const step of boot.steps) {
    if (step.step === 'ask' && step.answer === 'refused') search.push(step);
    else {
      flush();
      elements.push(stepElement(step, boot));
    }
  }
  flush();
  return elements;
}

/** Text in backticks is shown as code. */
function withCode(text: string): (Node | string)[] {
  return text.split('`').map((part, index) => (index % 2 === 1 ? el('code', {}, part) : part));
}

function verdictElement({ state, area, headline, meaning }: Boot['verdict']): HTMLElement {
  const isBad = TROUBLE.has(state);
  const where = area === 'after' || isBad ? `Where to look: ${AREA_WORDS[area]}` : '';
  return el(
    'div',
    { class: isBad ? 'verdict bad' : 'verdict' },
    el('p', { class: 'verdict-head' }, headline),
    el('p', {}, ...withCode(meaning)),
    where !== '' && el('p', { class: 'verdict-where' }, where),
  );
}

function bootElement(boot: Boot, index: number, now: number, isOpen: boolean): HTMLElement {
  const facts = [
    about(Math.max(1, boot.tookMs)),
    formatBytes(boot.bytes),
    ...boot.versions,
    boot.retransmits > 0 ? `${formatMany(boot.retransmits, 'packet')} retransmitted` : '',
  ].filter((text) => text !== '');
  const isBad = TROUBLE.has(boot.verdict.state);
  const summary = el(
    'summary',
    {},
    el(
      'span',
      { class: `mark ${isBad ? 'bad' : boot.verdict.state === 'done' ? 'done' : 'on'}`, 'aria-hidden': 'true' },
      isBad ? '!' : boot.verdict.state === 'done' ? '✓' : '▸',
    ),
    el('h3', {}, `${index === 0 ? 'Last boot' : 'Boot'}, ${day(boot.at, now)}`),
    el('span', { class: 'muted' }, `${stateWords(boot.verdict.state)} · ${facts.join(' · ')}`),
  );
  const details = el('details', { class: 'boot', 'data-boot': String(boot.at) }, summary);
  if (isOpen) details.open = true;
  details.append(index === 0 ? '' : verdictElement(boot.verdict), el('ol', { class: 'steps' }, ...stepElements(boot)));
  return details;
}

export class NodeView {
  readonly #connection: Connection;
  readonly #dialog = ofKind(HTMLDialogElement, 'node');
  readonly #body = byId('node-body');
  #asked: string | undefined;
  #shown = '';
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
    byId('node-close').addEventListener('click', () => this.#dialog.close());
    // A click beside the dialog closes it.
    this.#dialog.addEventListener('click', (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    this.#dialog.addEventListener('close', () => {
      clearTimeout(this.#timer);
      this.#asked = undefined;
      if (location.hash !== '') history.pushState(null, '', location.pathname + location.search);
    });
    const follow = (): void => {
      const asked = /^#node=(.+)$/.exec(location.hash)?.[1];
      if (asked === undefined) this.#dialog.close();
      else this.#open(decode(asked));
    };
    addEventListener('hashchange', follow);
    addEventListener('popstate', follow);
    follow();
  }

  /** Opens a node by URL, so that the view can be bookmarked and shared. */
  open(asked: string): void {
    location.hash = `node=${encodeURIComponent(asked)}`;
  }

  /** Asks again, since another token may get an answer. */
  refresh(): void {
    if (this.#asked !== undefined) void this.#load(this.#asked);
  }

  #open(asked: string): void {
    if (this.#asked === asked) return;
    this.#asked = asked;
    this.#shown = '';
    setText(byId('node-title'), asked);
    setText(byId('node-who'), '');
    this.#body.replaceChildren(el('p', { class: 'muted' }, 'Looking …'));
    if (!this.#dialog.open) this.#dialog.showModal();
    byId('node-title').focus();
    void this.#load(asked);
  }

  async #load(asked: string): Promise<void> {
    clearTimeout(this.#timer);
    try {
      const report = await this.#connection.node(asked);
      if (this.#asked !== asked) return;
      this.#show(report);
    } catch (error) {
      if (this.#asked !== asked) return;
      this.#shown = '';
      this.#body.replaceChildren(
        el('p', { class: 'note' }, `No answer: ${error instanceof Error ? error.message : String(error)}`),
      );
    }
    this.#timer = setTimeout(() => void this.#load(asked), AGAIN_MS);
  }

  #show(report: NodeReport): void {
    const labels = Object.entries(report.labels).map(([key, value]) => `${key} ${value}`);
    const ids = report.ids.map((id) =>
      id
        .replace(/^mac:/, 'MAC ')
        .replace(/^uuid:/, 'UUID ')
        .replace(/^serial:/, 'serial '),
    );
    setText(byId('node-title'), report.name);
    const others = report.addresses.filter((address) => address !== report.name);
    setText(
      byId('node-who'),
      [...others, ...ids, ...labels, report.inInventory ? '' : 'not in the inventory']
        .filter((text) => text !== '')
        .join(' · '),
    );
    // Redrawn only when there is something new, so that readers keep their place.
    const { now: _, ...rest } = report;
    const text = JSON.stringify(rest);
    if (text === this.#shown) return;
    this.#shown = text;
    const open = new Set(
      [...this.#body.querySelectorAll<HTMLDetailsElement>('details.boot[open]')].map(
        (details) => details.dataset['boot'],
      ),
    );
    const focused = (document.activeElement?.closest('details.boot') as HTMLElement | null)?.dataset['boot'];
    const boots = report.boots.map((boot, index) =>
      bootElement(boot, index, report.now, index === 0 || open.has(String(boot.at))),
    );
    this.#body.replaceChildren(
      verdictElement(report.verdict),
      ...boots,
      report.forgotten > 0
        ? el('p', { class: 'muted' }, `${formatMany(report.forgotten, 'earlier request')} no longer remembered.`)
        : '',
    );
    if (focused !== undefined)
      this.#body.querySelector<HTMLElement>(`details[data-boot="${focused}"] > summary`)?.focus();
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
