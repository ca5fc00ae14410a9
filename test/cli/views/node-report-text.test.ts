/** The lines of `reveille node` for one boot. */
import { describe, expect, it } from 'vitest';
import { reportText } from '../../../src/cli/views/node-report-text.ts';
import type { Ask, Verdict } from '../../../src/live/wire.ts';

const VERDICT: Verdict = { state: 'failed', area: 'network', headline: 'It gave up.', meaning: 'No block arrived.' };

function linesOf(changes: readonly Partial<Ask>[]): string[] {
  const steps = changes.map(
    (change, index): Ask => ({
      step: 'ask',
      protocol: 'tftp',
      at: 1000 * index,
      file: `file${index}`,
      kind: 'file',
      options: '',
      repeats: 0,
      answer: 'sent',
      what: 'sent completely',
      version: '',
      origin: 'file',
      bytes: 4_000_000,
      size: 4_000_000,
      retransmits: 0,
      firstReplyMs: null,
      tookMs: 2000,
      port: 2070,
      local: '192.0.2.1',
      ...change,
    }),
  );
  const text = reportText(
    {
      asked: '192.0.2.7',
      name: '192.0.2.7',
      addresses: ['192.0.2.7'],
      ids: [],
      labels: {},
      inInventory: false,
      now: 9000,
      verdict: VERDICT,
      boots: [{ at: 0, tookMs: 9000, bytes: 4_000_000, retransmits: 0, versions: [], verdict: VERDICT, steps }],
      forgotten: 0,
    },
    80,
  );
  return text.split('\n').filter((line) => line.includes('file'));
}

describe('the lines of a report', () => {
  it('tell how fast a file was sent, and how much of a failed one arrived', () => {
    expect(
      linesOf([
        { options: 'blksize=1468' },
        { answer: 'failed', what: 'the node went silent', bytes: 1_000_000, repeats: 1 },
      ]),
    ).toEqual([
      '     +0.0 s ✓ file0: 4.00 MB in 2.0 s (2.00 MB/s), blksize=1468',
      '     +1.0 s ! file1: the node went silent, 1.00 MB of 4.00 MB arrived, asked 2 times',
    ]);
  });

  it('tell the outcome of every request that ended otherwise', () => {
    expect(
      linesOf([
        { answer: 'refused', what: 'no such file', bytes: 0, size: 0 },
        { answer: 'sending', what: 'is being sent', bytes: 1_000_000 },
      ]),
    ).toEqual(['     +0.0 s ✕ file0: no such file', '     +1.0 s > file1: is being sent, 1.00 MB of 4.00 MB']);
  });
});
