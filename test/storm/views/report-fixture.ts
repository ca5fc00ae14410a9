/**
 * Reports to render, as a storm makes them: `roughReport` contains every kind of problem, and names that would break a
 * careless page; `calmReport` has no problems. Nothing here is random.
 */
import { ValueRecorder } from '../../../src/storm/run/histogram.ts';
import { type Curve, type Histogram, REPORT_SCHEMA, type StormReport } from '../../../src/storm/report.ts';

const NODES = 1000;
const STEP_S = 0.5;
const STEPS = 126;
const KERNEL_BYTES = 14_680_064;

/** Names from the network and from plans, as unpleasant as the escaping before the report permits. */
export const NASTY = `grub "cfg" <script>alert('1')</script>&amp;`;
export const NASTY_END = '</script><img src=http://192.0.2.1/x onerror=alert(2)>';

/** Number of `total` reached at time `at`, on an S-shaped curve around `middle`. */
function logistic(total: number, at: number, middle: number, slope: number): number {
  return Math.round(total / (1 + Math.exp(-(at - middle) / slope)));
}

function curve(completed: number, failed: number): Curve {
  const times = Array.from({ length: STEPS }, (_, index) => (index + 1) * STEP_S);
  const booted = times.map((at) => Math.min(completed, logistic(completed + 4, at, 38, 4)));
  booted[STEPS - 1] = completed;
  return {
    step_s: STEP_S,
    completed: booted,
    failed: times.map((at) => Math.min(failed, Math.floor(Math.max(0, at - 15) / 3.4))),
    bytes: times.map((at, index) => {
      const wobble = 1 + 0.09 * Math.sin(index * 1.7) + 0.05 * Math.sin(index * 0.37);
      return Math.round(274e6 * wobble * STEP_S * Math.min(1, at / 4) * Math.min(1, Math.max(0, (63 - at) / 16)));
    }),
  };
}

/** Values on a logarithmic bell curve. */
function bell(count: number, middle: number, spread: number, buckets: number): Histogram {
  const recorder = new ValueRecorder();
  for (let index = 0; index < count; index++) {
    const share = (index + 0.5) / count;
    recorder.record(middle * Math.exp(spread * Math.log(share / (1 - share))));
  }
  return recorder.toHistogram(buckets);
}

const HARNESS: StormReport['harness'] = {
  cpu_s: 41.37,
  busiest_thread: 0.62,
  event_loop_delay_ms: { p50: 1.09, p90: 1.31, p99: 4.82, max: 19.4 },
  drops: 0,
  bottleneck: false,
  reasons: [],
  threads: 2,
  engine: 'linux',
};

export const roughReport: StormReport = {
  schema: REPORT_SCHEMA,
  started_at: '2026-03-14T09:26:53.589Z',
  server: '[2001:db8::53]:6969',
  http: null,
  seed: 20_260_314,
  plan: {
    name: 'mixed rack <b>"A&B"</b>',
    stages: ['loader', NASTY, 'kernel'],
    profiles: ['pxelinux', 'grub', 'ipxe'],
  },
  arrival: 'poisson at 40 nodes/s',
  nodes: NODES,
  completed: 985,
  failed: 14,
  unfinished: 1,
  wrong_bytes: null,
  files_not_compared: null,
  mixed_versions: 2,
  bytes: 985 * KERNEL_BYTES + 62_411_000,
  data_packets: 1_204_388,
  duration_s: 63.184,
  first_reply_ms: { p50: 2.418, p90: 11.07, p99: 108.9, max: 3261.4 },
  finish_s: { p50: 37.92, p90: 46.81, p99: 58.66, max: 62.97 },
  retransmits: { client: 1742, server: 96 },
  unanswered_requests: 931,
  left_unanswered: {
    admin: '[2001:db8::53]:6970',
    problem: null,
    reasons: [
      {
        reason: 'prefixFull',
        count: 912,
        what: 'a network had as many transfers as it may have',
        settings: ['--sessions-per-network4', '--sessions-per-network6'],
      },
      { reason: 'tired', count: 4, what: null, settings: [] },
    ],
  },
  duplicate_tids: 3,
  injected: { lost: 12_204, lost_data: 9000, duplicated: 311, reordered: 908, delayed: 0, vanished_nodes: 2 },
  stages: [
    {
      name: 'loader',
      profile: 'pxelinux',
      via: 'tftp',
      completed: 998,
      failed: 2,
      files: 1996,
      misses: 0,
      bytes: 84_231_208,
      first_reply_ms: { p50: 2.203, p90: 9.71, p99: 108.1, max: 3261.4 },
      duration_ms: { p50: 212.4, p90: 688.2, p99: 4106, max: 9822 },
      retransmits: { client: 911, server: 40 },
    },
    {
      name: NASTY,
      profile: 'grub',
      via: 'tftp',
      completed: 996,
      failed: 2,
      files: 1992,
      misses: 8964,
      bytes: 1_394_400,
      first_reply_ms: { p50: 0.418, p90: 1.02, p99: 3.77, max: 402.6 },
      duration_ms: { p50: 31.9, p90: 66.5, p99: 441.3, max: 1209 },
      retransmits: { client: 12, server: 0 },
    },
    {
      name: 'kernel',
      profile: 'ipxe',
      via: 'tftp',
      completed: 985,
      failed: 10,
      files: 985,
      misses: 0,
      bytes: 985 * KERNEL_BYTES,
      first_reply_ms: null,
      duration_ms: { p50: 12_411, p90: 17_209, p99: 24_007, max: 27_880 },
      retransmits: { client: 819, server: 56 },
    },
  ],
  violations: [
    {
      id: 'tid-changed',
      what: 'The server continued a transfer from another port.',
      clause: 'RFC 1350 §4',
      count: 3,
      example: `node 412, ${NASTY}, file "boot/grub.cfg-01-52-54-00-12-34-56"`,
    },
    {
      id: 'option-not-asked',
      what: 'An OACK granted an option that the request did not have.',
      clause: 'RFC 2347',
      count: 1184,
      example: `node 0, loader, file "${NASTY_END}"`,
    },
  ],
  failures: [
    {
      reason: 'no answer to the request within 15.8 s',
      stage: 'kernel',
      nodes: 9,
      example: 'node 871, 127.3.103.1, file "vmlinuz-6.12"',
    },
    {
      reason: `the server refused: error 2: ${NASTY_END}`,
      stage: NASTY,
      nodes: 2,
      example: 'node 12, 127.0.12.1, file "grub/grub.cfg"',
    },
    { reason: 'vanished on purpose', stage: 'loader', nodes: 2, example: 'node 40' },
    { reason: 'no more data after 4,194,304 bytes', stage: 'kernel', nodes: 1, example: 'node 963' },
  ],
  curve: curve(985, 14),
  histograms: { first_reply_ms: bell(3000, 2.418, 0.75, 30), finish_s: bell(985, 37.92, 0.067, 30) },
  harness: {
    ...HARNESS,
    busiest_thread: 0.97,
    drops: 211,
    bottleneck: true,
    reasons: [
      "the busiest thread worked 97 % of the time, so answers waited in the storm's own queue",
      '211 datagrams were lost in receive buffers of the storm',
    ],
  },
  slo: {
    met: false,
    checks: [
      { expression: 'failed=0', actual: 14, met: false },
      { expression: 'finish.p99<60s', actual: 58.66, met: true },
      { expression: 'stages.kernel.first_reply.p99<1s', actual: null, met: false },
      { expression: 'throughput>100MB/s', actual: 229.838, met: true },
    ],
  },
  machine: { cpu: 'AMD EPYC 7B13', cores: 2, node: 'v20.20.2', kernel: 'Linux 6.1.0-28-amd64' },
  version: '0.1.0',
};

export const calmReport: StormReport = {
  ...roughReport,
  server: '127.0.0.1:6969',
  plan: { name: 'kernel only', stages: ['kernel'], profiles: ['ipxe'] },
  arrival: 'all at once',
  nodes: 985,
  completed: 985,
  failed: 0,
  unfinished: 0,
  wrong_bytes: 0,
  files_not_compared: 0,
  mixed_versions: 0,
  bytes: 985 * KERNEL_BYTES,
  data_packets: 985 * 7000,
  retransmits: { client: 0, server: 0 },
  unanswered_requests: 0,
  left_unanswered: null,
  duplicate_tids: 0,
  injected: { lost: 0, lost_data: 0, duplicated: 0, reordered: 0, delayed: 0, vanished_nodes: 0 },
  stages: [
    {
      ...roughReport.stages[2]!,
      failed: 0,
      first_reply_ms: { p50: 2.418, p90: 11.07, p99: 108.9, max: 261.4 },
      retransmits: { client: 0, server: 0 },
    },
  ],
  violations: [],
  failures: [],
  curve: curve(985, 0),
  harness: HARNESS,
  slo: { met: true, checks: [{ expression: 'failed=0', actual: 0, met: true }] },
};

/** Report of a storm that was stopped before any result. */
export const emptyReport: StormReport = {
  ...calmReport,
  completed: 0,
  unfinished: 985,
  wrong_bytes: null,
  files_not_compared: null,
  mixed_versions: null,
  bytes: 0,
  data_packets: 0,
  duration_s: 0,
  first_reply_ms: null,
  finish_s: null,
  stages: [{ ...calmReport.stages[0]!, completed: 0, files: 0, bytes: 0, first_reply_ms: null, duration_ms: null }],
  curve: { step_s: STEP_S, completed: [], failed: [], bytes: [] },
  histograms: { first_reply_ms: { edges: [], counts: [] }, finish_s: { edges: [], counts: [] } },
  slo: { met: false, checks: [] },
};
