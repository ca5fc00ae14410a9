import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { defineConfig } from 'vitest/config';

/** Those that take longest by the clock. */
const LONG = [
  'page/page',
  'daemon/reload',
  'cli/storm-silence',
  'clients/clients',
  'grafana/prometheus',
  'cli/storm',
  'check/own-server',
  'storm/views/report-html',
  'check/faulty-servers',
  'boot-set/store/kill',
].map((name) => `/test/${name}.test.ts`);

/** Long files first, so that none of them is still running when nothing else is. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isShort = ({ moduleId }: TestSpecification): boolean => !LONG.some((name) => moduleId.endsWith(name));
    // oxlint-disable-next-line unicorn/no-array-sort -- the method of vitest's sequencer, not of arrays.
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => Number(isShort(a)) - Number(isShort(b)));
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // One more than two cores: about a third of the files' time is spent waiting for timers and for firmware's patience.
    maxWorkers: 3,
    sequence: { sequencer: LongFirst },
  },
});
