/**
 * The output of `reveille node`: where a node's boot stopped, what that usually means, and its last boots line by line.
 */
import { about, AREA_WORDS, stateWords } from '../../live/words.ts';
import { type Boot, type BootStep, type NodeReport, TROUBLE, type Verdict } from '../../live/wire.ts';
import { safeText } from '../../text/escape.ts';
import { formatBytes, formatMany, formatMs } from '../../text/figures.ts';

type Ask = Extract<BootStep, { step: 'ask' }>;

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

function offset(ms: number): string {
  return ms < 60_000 ? `+${(ms / 1000).toFixed(1)} s` : `+${formatMs(ms)}`;
}

function factsOf(step: Ask): string {
  return [
    step.answer === 'sent' ? `${formatBytes(step.size)} in ${about(Math.max(1, step.tookMs))}` : step.what,
    step.answer === 'sending' && step.size > 0 ? `${formatBytes(step.bytes)} of ${formatBytes(step.size)}` : '',
    step.version === '' ? '' : `version ${step.version}`,
    step.origin === 'rendered' ? 'rendered for this node' : '',
    step.repeats > 0 ? `asked ${formatMany(step.repeats + 1, 'time')}` : '',
    step.retransmits > 0 ? `${formatMany(step.retransmits, 'packet')} retransmitted` : '',
    step.firstReplyMs !== null && step.firstReplyMs >= 100 ? `first reply after ${about(step.firstReplyMs)}` : '',
    step.options,
  ]
    .filter((text) => text !== '')
    .join(', ');
}

function stepLine(step: BootStep, boot: Boot): string {
  const at = offset(step.at - boot.at).padStart(11);
  if (step.step === 'gap') return `${at}   … no request for ${about(step.tookMs)}`;
  return `${at} ${MARKS[step.answer]} ${step.file}: ${factsOf(step)}`;
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
