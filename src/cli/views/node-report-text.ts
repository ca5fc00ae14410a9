/**
 * The output of `reveille node`: where a node's boot stopped, what that usually means, and its last boots line by line.
 */
import { about, AREA_WORDS, factsOf, offset, stateWords } from '../../live/words.ts';
import { type Ask, type Boot, type BootStep, type NodeReport, TROUBLE, type Verdict } from '../../live/wire.ts';
import { safeText } from '../../text/escape.ts';
import { formatBytes, formatMany } from '../../text/figures.ts';

const MARKS: Readonly<Record<Ask['answer'], string>> = {
  sending: '>',
  sent: '✓',
  size: '✓',
  refused: '✕',
  failed: '!',
  nothing: '?',
};

/** Breaks text at spaces. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let current = '';
  for (const word of text.split(' ')) {
    if (current !== '' && current.length + word.length + 1 > width) {
      lines.push(current);
      current = word;
    } else current = current === '' ? word : `${current} ${word}`;
  }
  return [...lines, current];
}

/** The outcome of a request, then its facts. A complete transfer needs no outcome: its facts tell it. */
function outcomeAndFacts(step: Ask): string {
  return [...(step.answer === 'sent' ? [] : [step.what]), ...factsOf(step)].join(', ');
}

function stepLine(step: BootStep, boot: Boot): string {
  const at = offset(step.at - boot.at).padStart(11);
  if (step.step === 'gap') return `${at}   … no request for ${about(step.tookMs)}`;
  return `${at} ${MARKS[step.answer]} ${step.file}: ${outcomeAndFacts(step)}`;
}

function verdictLines({ state, area, headline, meaning }: Verdict, width: number): string[] {
  const where = TROUBLE.has(state) || area === 'after' ? [`Where to look: ${AREA_WORDS[area].toLowerCase()}.`] : [];
  return [...wrap(headline, width), ...wrap(meaning, width), ...where];
}

function bootLines(boot: Boot, index: number, width: number): string[] {
  const facts = [
    stateWords(boot.verdict.state),
    about(Math.max(1, boot.tookMs)),
    formatBytes(boot.bytes),
    ...boot.versions,
    boot.retransmits > 0 ? `${formatMany(boot.retransmits, 'packet')} retransmitted` : '',
  ].filter((text) => text !== '');
  const time = `${new Date(boot.at).toISOString().slice(0, 19)}Z`;
  return [
    '',
    `${index === 0 ? 'Last boot' : 'Boot'} ${time}: ${facts.join(', ')}`,
    ...(index === 0 ? [] : verdictLines(boot.verdict, width - 2).map((text) => `  ${text}`)),
    ...boot.steps.map((step) => stepLine(step, boot)),
  ];
}

/** @param width columns for sentences; lines of steps are as long as their names. */
export function reportText(report: NodeReport, width: number): string {
  const { name, addresses, ids, labels, verdict, boots, forgotten } = report;
  const who = [
    name,
    ...addresses.filter((address) => address !== name),
    ...ids,
    ...Object.entries(labels).map(([key, value]) => `${key}=${value}`),
  ];
  const lines = [
    who.join('  '),
    '',
    ...verdictLines(verdict, width),
    ...boots.flatMap((boot, index) => bootLines(boot, index, width)),
    ...(forgotten > 0 ? ['', `${formatMany(forgotten, 'earlier request')} no longer remembered.`] : []),
  ];
  return lines.map((text) => `${safeText(text).trimEnd()}\n`).join('');
}
