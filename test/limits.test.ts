/** docs/limits.md, and the `@limit` tags in the source that it is generated from. */
import { describe, expect, it } from 'vitest';
import { limitsIn } from '../scripts/limit-tags.ts';
import { declaredLimits, pageOf } from '../scripts/limits-page.ts';
import { ROUTE_KEYS } from '../src/config/route-list.ts';
import { SETTING_LIST } from '../src/config/settings.ts';
import { read } from './support/pages.ts';

/** Limits that readers look for on the page: a declaration that loses its tag would leave it unseen. */
const EXPECTED: Readonly<Record<string, string>> = {
  'src/admin/admin-guard.ts': 'WRONG_TOKENS',
  'src/admin/admin-server.ts': 'HEADERS_MS MAX_HEADER_BYTES',
  'src/admin/api.ts': 'MAX_VERBS_AT_ONCE MAX_BODY_BYTES MAX_VALUES',
  'src/admin/connection-room.ts': 'MAX_CONNECTIONS_EACH MAX_CONNECTIONS',
  'src/admin/live-api.ts': 'MAX_STREAMS STREAM_MIB MAX_MISSED',
  'src/admin/preview-api.ts': 'MAX_PREVIEWS',
  'src/boot-set/blob-shelf.ts': 'MAX_DAMAGED',
  'src/boot-set/boot/boots.ts': 'ATTEMPTS',
  'src/boot-set/boot/pin-table.ts': 'MAX_PINS FORGET_MS',
  'src/boot-set/boot/provisional-pins.ts': 'PROVISIONAL_PER_V4_PREFIX PROVISIONAL_PER_V6_PREFIX',
  'src/boot-set/boot/whereabouts.ts': 'SILENT_MS',
  'src/boot-set/node/address-book.ts': 'MAX_ADDRESSES ADDRESS_LIFE_MS',
  'src/boot-set/node/address-tables.ts': 'PATIENCE_MS',
  'src/boot-set/node/dhcp-leases.ts': 'MAX_LEASES_BYTES',
  'src/boot-set/store/adopt.ts': 'MAX_INDEX_BYTES',
  'src/boot-set/store/channel-changes.ts': 'MAX_PREVIOUS',
  'src/boot-set/store/channel-name.ts': 'MAX_CHANNEL_NAME',
  'src/boot-set/store/collect.ts': 'ENDED_PIN_MS',
  'src/boot-set/store/make-layout.ts': 'MAX_OCI_LAYOUT_BYTES',
  'src/boot-set/store/manifest.ts': 'MAX_FILES MAX_MANIFEST_BYTES MAX_FILE_NAME_BYTES',
  'src/boot-set/store/publish-plan.ts': 'MAX_VERSIONS MAX_LABELS MAX_LABEL_CHARACTERS MAX_KERNEL_ARGUMENTS_CHARACTERS',
  'src/boot-set/store/records.ts': 'GRACE_MS keepVersions pinIdleMs pinCapMs',
  'src/boot-set/store/roots.ts': 'RENDERED_MS',
  'src/boot-set/store/staging-folder.ts': 'MAX_STAGING_AGE_MS',
  'src/config/config-file.ts': 'MAX_CONFIG_CHARACTERS',
  'src/config/live-config.ts': 'MAX_BESIDE',
  'src/config/content-settings.ts': 'CACHE_BYTES MEMORY_PERCENT',
  'src/content/buffer-cache.ts': 'MOST_RESERVE_BYTES',
  'src/content/case-folding.ts': 'MAX_LISTINGS MAX_NAMES_LISTED MAX_NAMES_KEPT BATCH',
  'src/content/directory.ts': 'ATTEMPTS MAX_NAMES',
  'src/content/disk-turns.ts': 'READS_PER_DISK LOOKS_PER_FOLDER',
  'src/content/file-snapshot.ts': 'SMALL_BYTES',
  'src/content/file-supply.ts': 'HEAD_BYTES MAX_WINDOW_BYTES RING_BYTES',
  'src/daemon/verb-runner.ts': 'MAX_OUTPUT_BYTES',
  'src/engine/linux/engine.ts': 'MAX_LINKS',
  'src/engine/linux/listening.ts': 'RECEIVE_BUFFER_BYTES',
  'src/engine/linux/send-queue.ts': 'PATIENCE_MS',
  'src/engine/linux/transfer-ports.ts': 'STOCK_DIVISOR OTHER_DESCRIPTORS MAX_LOCALS',
  'src/engine/linux/transfer-sockets.ts': 'QUARANTINE_MS',
  'src/engine/estate.ts': 'ROOM',
  'src/engine/portable.ts': 'RECEIVE_BUFFER_BYTES',
  'src/engine/stream-system.ts': 'BACKLOG UNSENT_BYTES SEND_BUFFER_BYTES',
  'src/engine/stranger.ts': 'STRANGER_ANSWERS',
  'src/http/connections.ts': 'MAX_HEAD_BYTES MAX_PIPELINED',
  'src/http/service.ts': 'headMs keepAliveMs stallMs waitMs DEFAULT_CONNECTIONS',
  'src/observe/node-history.ts': 'MAX_NODES MAX_ASKS ASKS_PER_NODE',
  'src/observe/problems.ts': 'MAX_PROBLEMS',
  'src/observe/row-list.ts': 'MAX_ROWS',
  'src/pool/report-record.ts': 'records',
  'src/pool/given-up.ts': 'COLLECTED_BYTES',
  'src/pool/thread-pool.ts': 'MAX_DEATHS_IN_A_ROW',
  'src/preview/validate.ts': 'MAX_TRIED',
  'src/protocol/request.ts': 'MAX_REQUEST_BYTES',
  'src/render/limits.ts':
    'ROUTES DEFAULT_MAX_BYTES TIMEOUT_MS STILL_MS HEAP_MIB WAITING STRANGERS_WAITING WAITING_EACH ' +
    'RETURNING_WAITING TURNED_DOWN TURNED_DOWN_MS ANSWERED ANSWERED_MS WAITING_ALONE ALONE_MS KEPT_BYTES ' +
    'KEPT_IDLE_MS KEPT_MS UPSTREAM_KEPT_BYTES UPSTREAM_CONNECTIONS INVENTORY_BYTES',
  'src/server/addresses.ts': 'HEADERS_V4 HEADERS_V6',
  'src/server/blksize-limits.ts': 'SAFE_MTU NARROW_MS MAX_NARROW',
  'src/server/clients/client-addresses.ts': 'MAX_KNOWN KNOWN_MS',
  'src/server/clients/half-open.ts': 'HARD SHORT_GRACE_MS',
  'src/server/memory-queue.ts': 'MAX_WAITING',
  'src/server/path-mtu.ts': 'MAX_ROUTES ROUTE_MS',
  'src/server/pressure.ts': 'RATE_AFTER_MS UNPROVEN_IN_A_CROWD_MS UNPROVEN_WHILE_SOME_WAIT_MS',
  'src/server/request-reader.ts': 'PLACES',
  'src/server/server.ts': 'sessions queue laneExpiryMs maxWindowsize patienceMs minRate halfOpen sessionsPerAddress',
  'src/session/sender-limits.ts': 'SENDS_PER_REQUEST DATA_SENDS_PER_REQUEST UNPROVEN_MS TAIL_SENDS TAIL_MS',
  'src/storm/plan/read-plan.ts': 'MAX_STAGES',
  'src/storm/run/expected.ts': 'MAX_VERSIONS',
  'src/storm/run/faulty-engine.ts': 'MAX_DELAYED',
  'src/telemetry/event-counts.ts': 'MAX_ROUTES',
  'src/telemetry/log.ts': 'BOUNDS BACKLOG_BYTES',
  'src/telemetry/store-metrics.ts': 'MAX_VERSIONS MAX_CHANNELS',
};

describe('docs/limits.md', () => {
  const limits = declaredLimits();

  it('is what `npm run limits` writes', () => {
    expect(read('docs/limits.md')).toBe(pageOf(limits));
  });

  it('names settings that exist', () => {
    const known = new Set<string>([...SETTING_LIST.map(({ key }) => key), ...ROUTE_KEYS, 'UV_THREADPOOL_SIZE']);
    const named = limits.flatMap(({ setting = '' }) => [...setting.matchAll(/`([^`]+)`/g)].map((match) => match[1]!));
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });

  it('has every limit that readers look for', () => {
    const declared = new Set(limits.map(({ path, name }) => `${path} ${name}`));
    const expected = Object.entries(EXPECTED).flatMap(([path, names]) =>
      names.split(' ').map((name) => `${path} ${name}`),
    );
    expect(expected.filter((limit) => !declared.has(limit))).toEqual([]);
  });
});

describe('a @limit tag', () => {
  const tagged = (text: string): ReturnType<typeof limitsIn> => limitsIn({ 'src/pool/x.ts': text });
  const row = (text: string): string | undefined => /^\| (?!limit|---).*$/m.exec(pageOf(tagged(text)))?.[0];

  it.each([
    ['a product', 'export const MAX_BYTES = 64 * 1024;', '64 KiB'],
    ['a power', 'const MAX_BYTES = 3 * 2 ** 30;', '3 GiB'],
    ['a sum in parentheses', 'const MOST = 2 * (1_000 + 24 - 1);', '2,046'],
    ['a time', 'const LIFE_MS = 90_000;', '90 s'],
    ['a share', 'const MEMORY_PERCENT = 75;', '75 %'],
    ['MiB', 'const HEAP_MIB = 256;', '256 MiB'],
    ['zero', 'const WAIT_MS = 0;', '0 ms'],
    ['an object', 'const WAITS_MS = { one: 1000, other: 60_000 } as const;', '`one` 1 s, `other` 1 min'],
  ])('gives a row with the value of its declaration: %s', (_, declaration, value) => {
    expect(row(`const OTHER = 'MAX = 7';\n/** @limit Things. */\n${declaration}`)).toContain(
      `| Things | ${value} | – | – |`,
    );
  });

  it('is read on the key of an object', () => {
    const text =
      'const D: L = {\n  /**\n   * Why.\n   * @limit Some\n   * things. Shows: a {b="c"}.\n   */\n  queueMs: 5,\n};';
    expect(row(text)).toBe('| Some things | 5 ms | – | a {b="c"} | `queueMs` in [x.ts](../src/pool/x.ts) |');
  });

  it('tells the setting', () => {
    expect(row('/** @limit Things. Setting: `a`, `b`. Shows: a log line. */\nconst MAX = 1;')).toContain(
      '| Things | 1 | `a`, `b` | a log line |',
    );
  });

  it.each([
    ['that is computed', '/** @limit Things. */\nconst MAX = f();', 'src/pool/x.ts:1: @limit: not a number: f()'],
    ['without words', '\n/** @limit */\nconst MAX = 1;', 'src/pool/x.ts:2: @limit: expected "@limit WHAT.'],
    ['of two constants', '/** @limit Things. */\nconst A = 1, B = 2;', 'not the declaration of one constant or key'],
    ['on a function', '/** @limit Things. */\nfunction f() {}', 'not the declaration of one constant or key'],
    ['on nothing', 'f(/** @limit Things. */ 1);', 'src/pool/x.ts: 1 @limit tags at no declaration'],
  ])('is refused on a declaration %s', (_, text, message) => {
    expect(() => tagged(text)).toThrow(message);
  });

  it('is refused in a room that is in no area', () => {
    const limits = limitsIn({ 'src/elsewhere/x.ts': '/** @limit Things. */\nconst MAX = 1;' });
    expect(() => pageOf(limits)).toThrow('src/elsewhere/x.ts: has a @limit, but its room is in no area');
  });
});
