/** SLOs as people write them, valid and invalid, and verdicts on reports. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_SLO, evaluate, METRIC_NAMES, parseSlo, SloError } from '../../src/storm/slo.ts';
import { calmReport, emptyReport, NASTY, roughReport } from './views/report-fixture.ts';

/** Values of the metrics in the rough report, each in the given unit. */
const FIGURES: readonly (readonly [metric: string, unit: string, figure: number | null])[] = [
  ['failed', '', 14],
  ['failed', '%', 1.4],
  ['completed', '', 985],
  ['completed', '%', 98.5],
  ['unfinished', '', 1],
  ['wrong_bytes', '', null],
  ['mixed_versions', '', 2],
  ['violations', '', 1187],
  ['duplicate_tids', '', 3],
  ['retransmits.client', '', 1742],
  ['retransmits.server', '', 96],
  ['duration', 's', 63.184],
  ['duration', 'ms', 63_184],
  ['throughput', 'MB/s', (985 * 14.680_064 + 62.411) / 63.184],
  ['first_reply.p50', 'ms', 2.418],
  ['first_reply.p90', 'ms', 11.07],
  ['first_reply.p99', 's', 0.1089],
  ['first_reply.max', 'ms', 3261.4],
  ['finish.p50', 's', 37.92],
  ['finish.p90', 'ms', 46_810],
  ['finish.p99', 'm', 58.66 / 60],
  ['finish.max', 's', 62.97],
  ['harness.drops', '', 211],
  ['harness.bottleneck', '', 1],
  ['stages.kernel.failed', '', 10],
  ['stages.kernel.first_reply.p99', 's', null],
  ['stages.loader.first_reply.p50', 'ms', 2.203],
  ['stages.loader.duration.max', 's', 9.822],
  ['stages.loader.duration.p90', 'ms', 688.2],
  ['stages.initrd.failed', '', null],
];

describe('an SLO', () => {
  it.each(FIGURES)('reads %s off a report, in %j', (metric, unit, figure) => {
    const expression = `${metric}>=0.5${unit}`;
    const eightDigits = (value: number | null): number | null => (value === null ? null : Number(value.toPrecision(8)));
    const found = evaluate(parseSlo(expression), roughReport).map((check) => ({
      ...check,
      actual: eightDigits(check.actual),
    }));
    expect(found).toEqual([{ expression, actual: eightDigits(figure), met: figure !== null && figure >= 0.5 }]);
  });

  it('names every metric that it knows', () => {
    const tried = new Set(
      FIGURES.map(([metric]) => metric.replace(/^stages\.[^.]+/, 'stages.NAME').replace(/\.(?:p50|p90|p99|max)$/, '')),
    );
    expect(METRIC_NAMES.map((name) => name.replace('.p50|p90|p99|max', '')).toSorted()).toEqual([...tried].toSorted());
  });

  it.each([
    ['failed=14', true],
    ['failed=0', false],
    ['failed<15', true],
    ['failed<14', false],
    ['failed<=14', true],
    ['failed>13', true],
    ['failed>14', false],
    ['failed>=14', true],
    ['failed<2%', true],
    ['completed>=99%', false],
    ['first_reply.p99<0.2s', true],
    ['first_reply.p99<=108.9ms', true],
    ['first_reply.p99=0.1089s', true],
    ['finish.p99<1m', true],
    ['finish.p99<58s', false],
    ['duration>0', true],
    ['throughput>100MB/s', true],
    ['throughput>220MiB/s', false],
    ['throughput>219MiB/s', true],
    ['throughput<1GB/s', true],
    ['harness.bottleneck=0', false],
  ])('judges %s as %s', (text, met) => {
    expect(evaluate(parseSlo(text), roughReport)).toMatchObject([{ expression: text, met }]);
  });

  it('says what it compared, in the unit that was written', () => {
    expect(evaluate(parseSlo(' finish.p99 < 60 s , first_reply.p99<1s,finish.max<60000ms'), roughReport)).toEqual([
      { expression: 'finish.p99 < 60 s', actual: 58.66, met: true },
      { expression: 'first_reply.p99<1s', actual: 0.1089, met: true },
      { expression: 'finish.max<60000ms', actual: 62_970, met: false },
    ]);
  });

  it('finds stages whatever they are called, as long as operators and commas can be told from them', () => {
    const stages = [{ ...roughReport.stages[0]!, name: 'initrd 6.12 "x".failed', failed: 5 }];
    const checks = evaluate(parseSlo('stages.initrd 6.12 "x".failed.failed=5'), { ...roughReport, stages });
    expect(checks).toMatchObject([{ actual: 5, met: true }]);
    expect(NASTY).toMatch(/[<>]/);
    expect(() => parseSlo(`stages.${NASTY}.failed=0`)).toThrow(SloError);
  });

  it('by default leaves out what there was nothing to compare with', () => {
    const failed = { expression: 'failed=0', actual: 0, met: true };
    expect(evaluate(parseSlo(), { ...calmReport, wrong_bytes: null, mixed_versions: null })).toEqual([failed]);
    expect(evaluate(parseSlo(), calmReport)).toEqual([
      failed,
      { expression: 'wrong_bytes=0', actual: 0, met: true },
      { expression: 'mixed_versions=0', actual: 0, met: true },
    ]);
    expect(evaluate(parseSlo(), { ...calmReport, wrong_bytes: 1 })[1]).toMatchObject({ actual: 1, met: false });
  });

  it('counts an unknown figure that has an objective as missed', () => {
    const checks = evaluate(parseSlo(`${DEFAULT_SLO},finish.p99<1m,throughput>=0`), emptyReport);
    expect(checks.map(({ actual, met }) => [actual, met])).toEqual([
      [0, true],
      [null, false],
      [null, false],
      [null, false],
      [null, false],
    ]);
  });

  it('has no share without nodes', () => {
    expect(evaluate(parseSlo('failed<1%'), { ...calmReport, nodes: 0 })).toMatchObject([{ actual: null, met: false }]);
  });

  it.each([
    ['', /^SLO, character 1: expected METRIC OPERATOR NUMBER such as .*, got ""$/],
    ['failed=0,', /^SLO, character 10: expected METRIC OPERATOR NUMBER/],
    ['failed', /^SLO, character 1: expected METRIC OPERATOR NUMBER .*, got "failed"$/],
    ['failed==0', /expected METRIC OPERATOR NUMBER .* got "failed==0"/],
    ['failed!=0', /expected a metric, one of failed, .* got "failed!"/],
    ['=0', /expected METRIC OPERATOR NUMBER/],
    [
      'failed=0, finish.p98<60s',
      /^SLO, character 11: expected a metric, one of failed, completed, .*, got "finish.p98"$/,
    ],
    ['finish.p99<60', /^SLO, character 1: expected a time with its unit: .* after "finish.p99<", got "60"$/],
    ['finish.p99<60h', /expected a time/],
    ['finish.p99<fast', /expected a time .* got "fast"/],
    ['finish.p99<-1s', /expected a time/],
    ['finish.p99<1%', /expected a time/],
    ['throughput>100', /expected a rate/],
    ['throughput>100MB', /expected a rate/],
    ['throughput>100toString', /expected a rate/],
    ['failed=0s', /expected a bare number or a share/],
    ['violations<1%', /expected a bare number such as 0 after/],
    ['failed=1e3', /expected a bare number/],
    ['constructor=0', /expected a metric/],
    ['stages.failed=0', /expected a metric/],
    ['stages..failed=0', /expected a metric/],
    ['stages.kernel.finish.p99<1s', /expected a metric/],
  ])('rejects %j in one line', (text, message) => {
    expect(() => parseSlo(text)).toThrow(SloError);
    expect(() => parseSlo(text)).toThrow(message);
  });

  it('rejects a stage that is not in the plan, if the plan is known', () => {
    const stages = ['loader', 'kernel'];
    expect(parseSlo('stages.kernel.failed=0', stages)).toHaveLength(1);
    expect(() => parseSlo('stages.initrd.failed=0', stages)).toThrow(
      'SLO, character 1: expected one of the plan\'s stages ("loader", "kernel") in "stages.initrd.failed", got "initrd"',
    );
  });

  it('accepts any text or rejects it with a line of printable ASCII', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[a-z.]+[<>=]+.*$/)), (text) => {
        let message = 'taken';
        try {
          parseSlo(text);
        } catch (error) {
          message = error instanceof SloError ? error.message : `not ours:\n${String(error)}`;
        }
        expect(message).toMatch(/^[ -~]+$/);
      }),
    );
  });
});
