import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { defineConfig } from 'vitest/config';

/** Those that take longest by the clock. */
const LONG = [
  'page/page',
  'grafana/prometheus',
  'examples/examples',
  'clients/narrow-paths',
  'cli/storm',
  'cli/storm-silence',
  'preview/preview',
  'clients/odd-names',
  'check/faulty-servers',
  'daemon/fleet',
  'daemon/reload',
  'daemon/served-store',
  'render/hostile',
  'render/upstream',
  'engine/conformance',
  'storm/views/report-html',
  'boot-set/store/hostile-layout',
  'boot-set/store/database',
  'boot-set/boot/strangers',
  'boot-set/boot/shared-world',
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

/** Files that replace a module, which a process that has loaded it would not notice. */
const MOCKING = [
  'config/added-setting',
  'content/coarse-times',
  'content/file-stream',
  'content/hung-disk',
  'content/system-calls',
];
/** Changes the working directory. */
const CHANGING = ['preview/preview'];
/** Files that measure the heap or the time of the processor: both depend on what the process has done before. */
const MEASURING = ['server/transfer-size', 'render/inventory', 'render/strangers'];
/**
 * Files with a process of their own. One process runs many of the others, which leave nothing behind: that costs a fifth
 * of a second less for each, and no module is transformed for both kinds.
 */
const OWN = [...MOCKING, ...CHANGING, ...MEASURING].map((name) => `test/${name}.test.ts`);

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Two more than two cores: about half of the files' time is spent waiting for timers and for firmware's patience.
    maxWorkers: 4,
    sequence: { sequencer: LongFirst },
    projects: [
      { extends: true, test: { name: 'shared', include: ['test/**/*.test.ts'], exclude: OWN, isolate: false } },
      { extends: true, test: { name: 'own', include: OWN } },
    ],
  },
});
