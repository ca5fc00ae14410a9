/** Templates and handlers at their worst: limits hold, only their own request fails, other requests go on. */
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RouteConfig } from '../../src/render/types.ts';
import { Desk } from './fixture.ts';

const FINE: RouteConfig = { match: 'fine/{name}', template: 'fine.liquid', timeoutMs: 500 };
const FILES = { 'fine.liquid': 'fine {{ captures.name }}' };
let asked = 0;

/**
 * Sends other requests while the culprit runs; each must succeed. @returns the culprit's result, and if the others
 * finished before it.
 */
async function withOthers(desk: Desk, culprit: string): Promise<{ result: string; isUndisturbed: boolean }> {
  let isOver = false;
  const other = async (): Promise<void> => {
    const name = `n${asked++}`;
    expect(await desk.read(`fine/${name}`)).toBe(`fine ${name}`);
  };
  const result = desk.read(culprit).finally(() => {
    isOver = true;
  });
  await Promise.all(Array.from({ length: 20 }, other));
  const isUndisturbed = !isOver;
  const told = await result;
  await other();
  return { result: told, isUndisturbed };
}

/** Behavior, template text, and reason of the failure. */
const HOSTILE_TEMPLATES: readonly (readonly [string, string, string])[] = [
  [
    'loops without end',
    '{% for i in (1..100000) %}{% for j in (1..100000) %}{{ i }}{% endfor %}{% endfor %}',
    'timeout|limit|more than',
  ],
  ['loops over a huge range', '{% for i in (1..1000000000) %}x{% endfor %}', 'memory alloc limit'],
  [
    'gives a gigabyte',
    '{% assign a = "0123456789abcdef" %}{% for i in (1..60) %}{% capture a %}{{ a }}{{ a }}{% endcapture %}{% endfor %}{{ a }}',
    'memory alloc limit',
  ],
  [
    'grows a text by filters',
    '{% assign a = "0123456789abcdef" %}{% for i in (1..60) %}{% assign a = a | append: a %}{% endfor %}{{ a }}',
    'memory alloc limit',
  ],
  [
    'gives more than it may',
    `{% capture a %}${'0123456789'.repeat(20_000)}{% endcapture %}${'{{ a }}'.repeat(6)}`,
    'returned more than 1048576 bytes',
  ],
  ['calls itself', "{% assign f = 'bad-5.liquid' %}{% include f %}", 'Maximum call stack|limit'],
  ['asks for a constructor', '{{ request.constructor.name }}', 'undefined variable: request.constructor'],
  ['asks for a prototype', '{{ request.__proto__.x }}', 'undefined variable: request.__proto__'],
  ['asks for a prototype by index', '{{ request["__proto__"] }}', 'undefined variable: request.__proto__'],
  ['asks for what is not there', '{{ node.nmae }}', 'undefined variable'],
  ['includes by an absolute path', '{% assign f = "/etc/passwd" %}{% include f %}', 'ENOENT'],
  ['includes from above', '{% assign f = "../outside.liquid" %}{% include f %}', 'ENOENT'],
  ['includes from above by a detour', '{% assign f = "x/../../outside.liquid" %}{% include f %}', 'ENOENT'],
  ['includes by a link that leads out', '{% assign f = "link.liquid" %}{% include f %}', 'ENOENT'],
];

describe('a hostile template', () => {
  // The templates run in sequence on the same threads, as in a server.
  const desk = new Desk(afterAll);
  beforeAll(async () => {
    const base = join(desk.folder, 'base');
    desk.write({ 'base/fine.liquid': FILES['fine.liquid'], 'outside.liquid': 'secret' });
    for (const [index, [, text]] of HOSTILE_TEMPLATES.entries()) desk.write({ [`base/bad-${index}.liquid`]: text });
    symlinkSync(join(desk.folder, 'outside.liquid'), join(base, 'link.liquid'));
    const bad = HOSTILE_TEMPLATES.map(
      (_, index): RouteConfig => ({ match: `bad-${index}`, template: `bad-${index}.liquid`, timeoutMs: 1000 }),
    );
    desk.routes = await desk.load([...bad, FINE], { base, threads: 2 });
  });
  afterAll(() => desk.routes.close());

  it.each(HOSTILE_TEMPLATES.map(([what, , message], index) => [what, index, message] as const))(
    'that %s',
    async (_, index, message) => {
      const { result } = await withOthers(desk, `bad-${index}`);
      const route = `route ${index + 1} \\(bad-${index}\\), bad-${index}\\.liquid`;
      expect(result).toMatch(new RegExp(`^busy: ${route}: .*(?:${message})`));
      expect(result).not.toContain('secret');
      expect(result).not.toContain('\n');
      expect(desk.warnings).toEqual([]);
      expect(desk.routes.stats().threadsLost).toBe(0);
    },
  );
});

const GOOD =
  'export default async ({ captures }) => { await new Promise((done) => setTimeout(done, 100)); return captures.name; };';

/** Behavior, handler text, reason of the failure, and its kind; undefined: one of several. */
const HOSTILE_HANDLERS: readonly (readonly [string, string, string, string | undefined])[] = [
  ['throws', 'export default () => { throw new TypeError("of its own"); };', 'TypeError: of its own', 'failed'],
  ['rejects with anything', 'export default async () => { throw 7; };', 'threw 7', 'failed'],
  ['never answers', 'export default () => new Promise(() => {});', 'took longer than 300 ms', 'timeout'],
  [
    'returns too much',
    'export default () => "x".repeat(2 ** 21);',
    'returned 2097152 bytes, expected at most 1048576',
    'tooLarge',
  ],
  [
    'returns bytes without end',
    'export default () => new Uint8Array(2 ** 28);',
    'returned 268435456 bytes',
    'tooLarge',
  ],
  [
    'returns what is no text',
    'export default () => ({});',
    'returned object, expected string, Uint8Array or null',
    'failed',
  ],
  ['forgets to return', 'export default () => {};', 'returned undefined', 'failed'],
  ['computes without end', 'export default () => { for (;;); };', 'did not respond for 1000 ms', 'timeout'],
  [
    'computes without end later',
    'export default async () => { await null; for (;;); };',
    'did not respond for 1000 ms',
    'timeout',
  ],
  ['ends its thread', 'export default () => process.exit(1);', 'ended its thread', 'crashed'],
  [
    'takes all memory',
    'export default () => { const a = []; for (;;) a.push(new Array(1e5).fill(0)); };',
    'thread',
    undefined,
  ],
];

describe('a hostile handler', () => {
  // As with the templates, all run in sequence on the same threads.
  const desk = new Desk(afterAll);
  beforeAll(async () => {
    desk.write({ ...FILES, 'good.mjs': GOOD });
    for (const [index, [, text]] of HOSTILE_HANDLERS.entries()) desk.write({ [`bad-${index}.mjs`]: text });
    const bad = HOSTILE_HANDLERS.map(
      (_, index): RouteConfig => ({ match: `bad-${index}`, handler: `bad-${index}.mjs`, timeoutMs: 300 }),
    );
    desk.routes = await desk.load([...bad, FINE, { match: 'good/{name}', handler: 'good.mjs' }], { threads: 2 });
  });
  afterAll(() => desk.routes.close());

  it.each(HOSTILE_HANDLERS.map(([what, , message, failure], index) => [what, index, message, failure] as const))(
    'that %s costs its own request alone',
    async (_, index, message, failure) => {
      const before = { ...desk.routes.stats().failures };
      const neighbours = Array.from({ length: 20 }, (__, at) => desk.read(`good/${at}`));
      const { result, isUndisturbed } = await withOthers(desk, `bad-${index}`);
      const route = `route ${index + 1} \\(bad-${index}\\), bad-${index}\\.mjs`;
      expect(result).toMatch(new RegExp(`^busy: ${route}: .*${message}`));
      expect(result).not.toContain('\n');
      expect(isUndisturbed || !message.startsWith('did not respond')).toBe(true);
      expect(await Promise.all(neighbours)).toEqual(Array.from({ length: 20 }, (__, at) => String(at)));
      const failed = Object.entries(desk.routes.stats().failures).map(
        ([kind, count]) => [kind, count - before[kind as keyof typeof before]] as const,
      );
      // A thread that is short of memory collects garbage until it counts as still, or fails before that.
      expect(Object.fromEntries(failed)).toMatchObject(failure === undefined ? {} : { [failure]: 1 });
      expect(failed.reduce((sum, [, count]) => sum + count, 0)).toBe(1);
    },
  );
});

describe('a handler', () => {
  const handlers = (text: string): [Record<string, string>, RouteConfig[]] => [
    { ...FILES, 'bad.mjs': text, 'good.mjs': GOOD },
    [{ match: 'bad', handler: 'bad.mjs', timeoutMs: 300 }, FINE, { match: 'good/{name}', handler: 'good.mjs' }],
  ];

  it('that always hangs does not hang the others of its thread again', async () => {
    const desk = await Desk.open(...handlers('export default () => { for (;;); };'), { threads: 2 });
    await desk.read('bad');
    const { threadsLost } = desk.routes.stats();
    const bad = [desk.read('bad', { client: '192.0.2.8' }), desk.read('bad', { client: '192.0.2.9' })];
    let isOver = false;
    void Promise.race(bad).then(() => {
      isOver = true;
    });
    expect(await desk.read('good/1')).toBe('1');
    expect(isOver).toBe(false);
    expect((await Promise.all(bad)).every((text) => text.includes('did not respond'))).toBe(true);
    expect(desk.routes.stats().threadsLost).toBe(threadsLost + 2);
  });

  it('that fails after its answer is reported, and affects nobody', async () => {
    const desk = await Desk.open(
      ...handlers('export default async () => { setImmediate(() => { throw new Error("stray"); }); return "ok"; };'),
    );
    expect(await desk.read('bad')).toBe('ok');
    while (desk.warnings.length === 0) await desk.read(`good/${asked++}`);
    expect(desk.warnings).toEqual(['a handler failed after its answer: Error: stray']);
    expect(desk.routes.stats().threadsLost).toBe(0);
  });

  it('is notified when no request waits for it any longer', async () => {
    const text = `let aborted = 0;
      export default ({ name }, { signal }) => name === 'seen' ? String(aborted)
        : new Promise(() => signal.addEventListener('abort', () => aborted++));`;
    const desk = await Desk.open({ 'a.mjs': text }, [{ match: '{name}', handler: 'a.mjs', timeoutMs: 50 }]);
    expect(await desk.read('x')).toContain('took longer than 50 ms');
    expect(await desk.read('seen')).toBe('1');
  });

  it.each([
    ['error', 'denied: route 1'],
    ['next', 'fine'],
  ] as const)('that fails may mean: %s', async (onFailure, expected) => {
    const desk = await Desk.open({ 'bad.mjs': 'export default () => { throw new Error("x"); };', 'b.liquid': 'fine' }, [
      { match: 'a', handler: 'bad.mjs', onFailure },
      { match: 'a', template: 'b.liquid' },
    ]);
    expect(await desk.read('a')).toMatch(new RegExp(`^${expected}`));
    expect(desk.warnings).toEqual(['a config could not be made: route 1 (a), bad.mjs: Error: x']);
  });
});
