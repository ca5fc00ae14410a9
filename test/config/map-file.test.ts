/**
 * Map files of tftp-hpa: how their rules are converted, and whether the routes lead each name to the same file. The
 * reference is the text of tftpd(8), and in.tftpd itself where it is installed.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { readMapFile } from '../../src/config/map-file.ts';
import { newTally, RecentAddresses } from '../../src/render/lasting.ts';
import type { RenderPool } from '../../src/render/render-pool.ts';
import { readRoutes } from '../../src/render/route-config.ts';
import { RouteSet } from '../../src/render/route-set.ts';
import type { RouteConfig } from '../../src/render/types.ts';
import { Upstreams } from '../../src/render/upstream.ts';
import { CAMPAIGN } from '../support/content.ts';
import { lastingPort } from '../support/ports.ts';
import { folder } from '../support/reveille.ts';

/** Number of random map files. */
const RUNS = CAMPAIGN ? 4000 : 200;

const now = (): number => 0;

/** Maps a name through the routes to another name, or to undefined if the routes refuse it. */
function byRoutes(configs: readonly RouteConfig[]): (name: string) => string | undefined {
  const set = new RouteSet(
    {
      routes: readRoutes(configs),
      inventory: undefined,
      // Rewrites and refusals render no text, so these parts are not needed.
      templates: {} as RenderPool,
      handlers: undefined,
      bootSets: undefined,
      stageZero: undefined,
      httpUrl: () => undefined,
      now,
      onWarning: () => {},
      onRender: () => {},
    },
    {
      tally: newTally(),
      upstreams: new Upstreams(now),
      answered: RecentAddresses.answered(),
      turnedDown: RecentAddresses.turnedDown(),
    },
  );
  return (name) => {
    const answer = set.open({ filename: name, mode: 'octet', client: '192.0.2.9', local: '192.0.2.1' });
    if (answer instanceof Promise) throw new TypeError('a rewrite does not wait');
    if (answer.kind === 'renamed') return answer.filename;
    return answer.kind === 'notMine' ? normal(name) : undefined;
  };
}

function normal(name: string): string | undefined {
  const path = name.replace(/\/{2,}/g, '/').replace(/^\//, '');
  return path === '' || path.endsWith('/') ? undefined : path;
}

/** The same mapping by the text of tftpd(8): all rules, from the top down. */
function byManual(rules: readonly string[]): (name: string) => string | undefined {
  return (name) => {
    let current = name;
    for (const rule of rules) {
      const [flags = '', regex = '', replacement = ''] = rule.split(' ');
      if (flags.includes('P')) continue;
      const expression = new RegExp(regex, flags.includes('i') ? 'is' : 's');
      let isMatch = false;
      for (let found = expression.exec(current); found !== null; found = expression.exec(current)) {
        isMatch = true;
        if (flags.includes('a')) return undefined;
        const groups = found;
        if (flags.includes('r')) {
          const text = replacement.replace(/\\(.)/g, (_, one: string) =>
            /[0-9]/.test(one) ? (groups[+one] ?? '') : one,
          );
          current = current.slice(0, found.index) + text + current.slice(found.index + found[0].length);
        }
        if (!flags.includes('g') || !flags.includes('r') || current.length > 500) break;
      }
      if (isMatch && flags.includes('e')) break;
    }
    return normal(current);
  };
}

const FOLDERS = ['a', 'b', 'ab'];
const FILES = ['x', 'y', 'x.y', 'a'];
const BELOW = FOLDERS.flatMap((one) => [...FOLDERS, ...FILES].map((file) => `${one}/${file}`));
const DEEP = ['a', 'b'].flatMap((one) => FOLDERS.flatMap((two) => FILES.map((file) => `${one}/${two}/${file}`)));
const NAMES = [...FILES, ...FOLDERS, ...BELOW, ...DEEP];

/**
 * Rules for names that all begin with a slash, or for names that all begin without one: no rule here tells the two
 * apart.
 */
const RULES = fc.boolean().chain((isSlashed) => {
  const slash = isSlashed ? '/' : '';
  const text = fc.constantFrom('a', 'b', 'a/b', 'ab/', 'x', 'a/', 'x\\.y', 'c');
  const flags = fc.constantFrom('r', 'r', 'r', 're', 'rg', 'a', 'ae', 'e', 'rG', 'rP', 'ri');
  const rule = fc.tuple(flags, text, text, fc.nat(6)).map(([flag, from, to, form]) => {
    // A folder is replaced by a folder: a doubled slash counts as one here.
    const into = to.replace(/\/$/, '') + (from.endsWith('/') ? '/' : '');
    const end = from.replace(/\/$/, '');
    const rest = [
      `^${slash}${from} ${slash}${into}`,
      `${end}$ ${to.replace(/\/$/, '')}`,
      `^${slash}${end}$ ${slash}${to}`,
      `^${slash}${from}(.*)$ ${slash}${into}\\1`,
      `^${slash}(.*)${end}$ ${slash}\\1${to.replace(/\/$/, '')}`,
      `^${slash}${end}/([^/]+)/(.+)$ ${slash}\\2/\\1`,
      `^${slash}${from} ${slash}${into}\\0`,
    ];
    return `${flag} ${rest[form]!}`;
  });
  return fc.tuple(fc.constant(slash), fc.array(rule, { minLength: 1, maxLength: 4 }));
});

/** The largest subset of the rules that carries over completely. */
function carriedOf(rules: readonly string[]): {
  readonly rules: readonly string[];
  readonly routes: readonly RouteConfig[];
} {
  const { routes, remarks } = readMapFile(rules.join('\n'), { file: 'map' });
  const lost = new Set(remarks.map((remark) => Number(remark.split(':')[1]) - 1));
  return lost.size === 0 ? { rules, routes } : carriedOf(rules.filter((_, index) => !lost.has(index)));
}

describe('rules of a map file that carry over', () => {
  it('lead every name to the file that they lead it to in tftpd(8)', { timeout: 600_000 }, () => {
    let carried = 0;
    fc.assert(
      fc.property(RULES, ([slash, all]) => {
        const { rules, routes } = carriedOf(all);
        carried += rules.length;
        const [ours, theirs] = [byRoutes(routes), byManual(rules)];
        for (const name of NAMES)
          expect([rules, name, ours(slash + name)]).toEqual([rules, name, theirs(slash + name)]);
      }),
      { numRuns: RUNS },
    );
    // Most rules carry over; a reader that dropped every rule would pass the comparison as well.
    expect(carried).toBeGreaterThan(RUNS);
  });

  it('do not convert a doubled slash that a later rule would see as a single one', () => {
    const rules = 'r ^/ab/ /x/\\0\nr ^/x/([^/]+)/(.+)$ /\\2/\\1\nr ^/a /a';
    const { remarks } = readMapFile(rules, { file: 'map' });
    expect(remarks).toEqual([
      'map:1: r ^/ab/ /x/\\0: not carried over: later rules would see a single slash instead of the doubled slash that it makes (x/{name}/{path*})',
    ]);
    expect(readMapFile('r ^/ab/ /x/\\0', { file: 'map' }).remarks).toEqual([]);
  });

  it.each([
    ['r ^/tftpboot/', [{ match: 'tftpboot/{path*}', rewrite: '{path*}' }]],
    ['r ^pxelinux\\.cfg/default$ pxelinux.cfg/rack', [{ match: 'pxelinux.cfg/default', rewrite: 'pxelinux.cfg/rack' }]],
    ['r ^images/([^/]+)/(.*) \\2', []],
    ['r ^/?boot/(.+)$ v2/\\1', [{ match: 'boot/{path*}', rewrite: 'v2/{path*}' }]],
    [
      'a \\.pvt$ # private',
      [
        { match: '{path*}.pvt', refuse: 'refused by map:1' },
        { match: '.pvt', refuse: 'refused by map:1' },
      ],
    ],
    ['ri ^[a-z]:\nrg \\\\ /\nrg //+ /\nr ^[^/] /\\0\nrP ^a b', []],
    ['r ^a\\ b$ c\\#d', [{ match: 'a b', rewrite: 'c#d' }]],
  ])('are these: %j', (text, routes) => {
    expect(readMapFile(text, { file: 'map' }).routes).toEqual(routes);
  });

  it('are for names below the root where tftpd does not change its own', () => {
    const text = 'r ^[^/] /srv/tftp/\\0\nr ^/srv/tftp/old/ /srv/tftp/new/';
    expect(readMapFile(text, { file: 'map', prefix: '/srv/tftp' })).toEqual({
      routes: [
        { match: 'srv/tftp/{path*}', rewrite: '{path*}' },
        { match: 'old/{path*}', rewrite: 'new/{path*}' },
      ],
      remarks: [],
    });
  });

  it.each([
    ['r boot b', 'it may match anywhere in a name'],
    ['rs ^a b', 's: start over with the first rule'],
    ['~a ^a', '~: names that do not match the regex'],
    ['r4 ^a b', '4: requests over IPv4 only'],
    ['r ^(a|b)/ c/', 'alternatives (write a rule for each)'],
    ['r ^[0-9]+$ x', 'a set of characters'],
    ['ri ^A b', 'i: letters in upper and lower case (see caseInsensitive)'],
    ['r ^a$ \\x', '\\x: the client address in hexadecimal digits'],
    ['r ^a(.*)$ \\L\\1', '\\L or \\U of matched text'],
    ['r ^a* b', 'a*: a repetition'],
    ['r ^a$ ../b', 'it leads out of the root by ..'],
    ['rg ^a aa', 'g: a repeated replacement'],
    ['re ^a b\nr ^b c', 'e: later rules would still apply to the names that it makes (b{path*})'],
    ['r', 'a rule without a regex'],
    ['rq ^a b', 'q: an operation that tftpd(8) does not document'],
    [`r ${'.*'.repeat(40)} b`, 'it has more captures than a pattern may'],
  ])('do not include %j', (text, why) => {
    const { remarks } = readMapFile(text, { file: 'map' });
    expect(remarks).toEqual([`map:1: ${text.split('\n', 1)[0]}: not carried over: ${why}`]);
  });

  it('report that a dot without a backslash matches only a dot', () => {
    expect(readMapFile('r ^boot.0$ x', { file: 'map' })).toEqual({
      routes: [{ match: 'boot.0', rewrite: 'x' }],
      remarks: ['map:1: r ^boot.0$ x: a dot without a backslash matches only a dot, not any character'],
    });
  });
});

const hasTftpd = process.getuid?.() === 0 && spawnSync('in.tftpd', ['-V']).status === 0;

describe.skipIf(!hasTftpd)('in.tftpd', () => {
  const running: ChildProcess[] = [];

  afterAll(() => {
    for (const child of running) child.kill('SIGKILL');
  });

  /**
   * Content sent under a name, or undefined for an ERROR. Repeats the request until an answer arrives, as clients do.
   */
  async function ask(port: number, name: string): Promise<string | undefined> {
    // Each request has a socket of its own, because the answer to a repeated request may arrive later.
    const socket = createSocket('udp4');
    const request = Buffer.from(`\0\x01${name}\0octet\0`, 'latin1');
    const again = setInterval(() => socket.send(request, port, '127.0.0.1'), 50);
    socket.send(request, port, '127.0.0.1');
    const [bytes, peer] = (await once(socket, 'message')) as [Buffer, { port: number }];
    clearInterval(again);
    socket.send(Buffer.from('\0\x05\0\0enough\0', 'latin1'), peer.port, '127.0.0.1', () => socket.close());
    return bytes[1] === 3 ? bytes.subarray(4).toString() : undefined;
  }

  it('leads names to the same files as the routes that its map file becomes', async () => {
    const root = folder();
    chmodSync(root, 0o755);
    const files = [
      ...FILES.filter((name) => name !== 'a'),
      ...BELOW.filter((name) => /[xy]$/.test(name)),
      'c/x',
      'c/y',
    ];
    for (const name of files) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), name);
    }
    const samples = fc.sample(RULES, { numRuns: 40, seed: 17 });
    for (const [index, [slash, all]] of samples.entries()) {
      const { rules, routes } = carriedOf(all);
      const map = join(folder(), 'map');
      writeFileSync(map, `${rules.join('\n')}\n`);
      // oxlint-disable-next-line no-await-in-loop -- one server at a time.
      const port = await lastingPort();
      const args = ['-L', '-4', '-a', `127.0.0.1:${port}`, '-s', '-m', map, root];
      const server = spawn('in.tftpd', args, { stdio: 'ignore' });
      running.push(server);
      const ours = byRoutes(routes);
      for (const name of [...files, ...FOLDERS].map((one) => slash + one)) {
        const path = ours(name);
        const expected = path !== undefined && files.includes(path) ? path : undefined;
        // oxlint-disable-next-line no-await-in-loop -- one request at a time.
        expect([index, rules, name, await ask(port, name)]).toEqual([index, rules, name, expected]);
      }
      server.kill('SIGTERM');
    }
  });
});
