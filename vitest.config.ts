import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { defineConfig } from 'vitest/config';

/** Those that take longest by the clock. */
const LONG = [
  'page/page',
  'cli/storm',
  'grafana/prometheus',
  'clients/narrow-paths',
  'preview/preview',
  'clients/odd-names',
  'storm/views/report-html',
  'boot-set/store/hostile-layout',
  'boot-set/store/database',
  'boot-set/boot/strangers',
].map((name) => `/test/${name}.test.ts`);

/**
 * Files with a process of their own first: a process runs the next file only if the next in line shares one too. Among
 * both, long files first, so that none of them is still running when nothing else is.
 */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification): number =>
      (project.config.isolate ? 0 : 2) + (LONG.some((name) => moduleId.endsWith(name)) ? 0 : 1);
    // oxlint-disable-next-line unicorn/no-array-sort -- the method of vitest's sequencer, not of arrays.
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

/**
 * Tests that leave nothing behind in their process: one process runs many of their files, which costs a third of a second
 * less for each.
 */
const SHARED = [
  'protocol',
  'session',
  'pool',
  'text',
  'config',
  'telemetry',
  'observe',
  'boot-set',
  'server',
  'admin',
  'storm',
];
/** Replaces a module, which a process that has loaded it would not notice. */
const MOCKING = 'added-setting';
const SHARED_FILES = SHARED.map((room) => `test/${room}/**/!(${MOCKING}).test.ts`);

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Two more than two cores: about half of the files' time is spent waiting for timers and for firmware's patience.
    maxWorkers: 4,
    sequence: { sequencer: LongFirst },
    projects: [
      { extends: true, test: { name: 'shared', include: SHARED_FILES, isolate: false } },
      { extends: true, test: { name: 'own', include: ['test/**/*.test.ts'], exclude: SHARED_FILES } },
    ],
  },
});
