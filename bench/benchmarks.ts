/**
 * The small benchmarks, in the order in which they run: the cost of a packet, of a request and of a timer, each by
 * itself. Knows their areas alone; each area has its own file of benchmarks.
 */
import type { Benchmark } from './benchmark.ts';
import { catalogBenchmarks } from './catalog-benchmarks.ts';
import { contentBenchmarks } from './content-benchmarks.ts';
import { protocolBenchmarks } from './protocol-benchmarks.ts';
import { sessionBenchmarks } from './session-benchmarks.ts';
import { storeOpening } from './store-benchmarks.ts';
import { timerBenchmarks } from './timer-benchmarks.ts';

export function microBenchmarks(): readonly Benchmark[] {
  return [
    ...protocolBenchmarks(),
    ...sessionBenchmarks,
    ...timerBenchmarks,
    ...contentBenchmarks,
    ...catalogBenchmarks,
    storeOpening,
  ];
}
