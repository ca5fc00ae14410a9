/** The documents against the code: the names they mention exist, the defaults they state are right, examples run. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { runBatch } from '../bench/benchmark.ts';
import { microBenchmarks } from '../bench/benchmarks.ts';
import { readConfig } from '../src/config/config-file.ts';
import { ROUTE_KEYS } from '../src/config/route-list.ts';
import { SETTING_LIST, SETTINGS } from '../src/config/settings.ts';
import { EXIT } from '../src/config/usage-error.ts';
import { OPTION_NAMES } from '../src/protocol/request.ts';
import { parsePattern } from '../src/render/pattern.ts';
import { OUTCOMES } from '../src/session/session.ts';
import { runCommand } from './support/command.ts';
import { bare, blocks, DOCS, PAGES, read, ROOT, table } from './support/pages.ts';

const run = promisify(execFile);

/** GitHub's anchor for a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

/** Text of a page without its code blocks. */
function prose(page: string): string {
  return read(page).replace(/^```[\s\S]*?^```$/gm, '');
}

/** Targets of the links in a page, but for those to other sites. */
function linksIn(page: string): string[] {
  return [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!).filter((to) => !/^https?:/.test(to));
}

/** Path that a link in `page` leads to, from the root of the repository. */
function pathOf(page: string, target: string): string {
  const [path] = target.split('#');
  return path === '' ? page : join(dirname(page), path!);
}

describe('links', () => {
  it.each(PAGES)('in %s lead to files and headings that exist', (page) => {
    const broken = linksIn(page).filter((target) => {
      const path = pathOf(page, target);
      if (path.startsWith('..') || !existsSync(join(ROOT, path))) return true;
      const anchor = target.split('#')[1];
      const headings = anchor === undefined ? [] : (prose(path).match(/^#+ .*$/gm) ?? []);
      return anchor !== undefined && !headings.some((heading) => anchorOf(heading.replace(/^#+ /, '')) === anchor);
    });
    expect(broken).toEqual([]);
  });

  it('reach every page from README.md', () => {
    const reached = new Set(['README.md']);
    for (const page of reached) {
      for (const target of linksIn(page)) {
        const path = pathOf(page, target);
        if (PAGES.includes(path)) reached.add(path);
      }
    }
    expect([...reached].toSorted()).toEqual(PAGES.toSorted());
  });
});

describe('every page of docs/', () => {
  const paragraphs = (page: string): string[] =>
    prose(page)
      .trim()
      .split(/\n{2,}/);

  it.each(DOCS)('begins with whom it is for: %s', (page) => {
    const [title, first] = paragraphs(page);
    expect(title).toMatch(/^# /);
    expect(first).toMatch(/^(?:This page is|These pages are) for /);
  });

  it.each(DOCS)('ends with where to go next: %s', (page) => {
    expect(paragraphs(page).at(-1)).toMatch(/^Next: \[/);
  });
});

describe('commands', () => {
  const { scripts, bin } = JSON.parse(read('package.json')) as {
    scripts: Record<string, string>;
    bin: Record<string, string>;
  };

  it.each(PAGES)('of npm in %s are scripts in package.json', (page) => {
    const named = [...read(page).matchAll(/npm (run [a-z:]+|start|test)\b/g)].map((match) =>
      match[1]!.replace('run ', ''),
    );
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });

  it('of README.md fetch what the example serves, from where it serves it', () => {
    const { values } = readConfig(join(ROOT, 'examples/rack.yaml'));
    expect(scripts['start']).toContain('--config examples/rack.yaml');
    const url = (scheme: string): { at: unknown; path: string } => {
      const [, address, port, path] = new RegExp(`curl ${scheme}://([0-9.]+):([0-9]+)/(\\S+)`).exec(read('README.md'))!;
      return { at: { address, port: Number(port) }, path: path! };
    };
    expect(values.admin).toEqual(url('http').at);
    expect(values.listen).toEqual([url('tftp').at]);
    expect(existsSync(join(values.root!, url('tftp').path))).toBe(true);
  });

  it('name the program that package.json installs', () => {
    expect(bin['reveille']).toBe('dist/cli/main.js');
    for (const page of ['README.md', 'docs/operations.md', 'deploy/reveille.service']) {
      for (const [path] of read(page).matchAll(/dist\/\S+\.js/g)) expect(path).toBe(bin['reveille']);
    }
  });
});

describe('docs/configuration.md', () => {
  const folder = mkdtempSync(join(tmpdir(), 'reveille-docs-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function helpFlags(command: string): Promise<string[]> {
    const { stdout } = await runCommand([...command.split(' '), '--help']);
    const flags = [...stdout.matchAll(/^ {2}(-[^<\s,]*(?:, --\S+)?)/gm)].flatMap((match) => match[1]!.split(', '));
    return flags.filter((flag) => flag !== '-h').toSorted();
  }

  it('names exactly the flags of reveille serve', async () => {
    const page = read('docs/configuration.md').split('## Flags of `reveille get`')[0]!;
    const named = new Set([...page.matchAll(/`(--[a-z0-9-]+)/g)].map((match) => match[1]!));
    expect([...named].toSorted()).toEqual(await helpFlags('serve'));
  });

  it('names exactly the flags of reveille get', async () => {
    const named = table('docs/configuration.md', 'Flags of `reveille get`').flatMap(([flags]) =>
      bare(flags!).split(', '),
    );
    expect([...named, '--help'].toSorted()).toEqual(await helpFlags('get'));
  });

  it('names exactly the flags of reveille storm', async () => {
    const named = table('docs/storm.md', 'Flags of `reveille storm`').map(([flags]) => bare(flags!));
    expect([...named, '--help'].toSorted()).toEqual(await helpFlags('storm'));
  });

  it('names exactly the flags of reveille top and node', async () => {
    const flags = table('docs/observability.md', 'In a terminal').map(([flag, of]) => [bare(flag!), of!] as const);
    const named = (command: string): string[] =>
      [...flags.filter(([, of]) => of === 'both' || of === command).map(([flag]) => flag), '--help'].toSorted();
    expect([named('top'), named('node')]).toEqual([await helpFlags('top'), await helpFlags('node')]);
  });

  it('names exactly the flags of the commands on a store', async () => {
    const commands = table('docs/boot-sets.md', 'Commands');
    const named = commands.map(([command, flags]) => [
      bare(command!),
      [...[...flags!.matchAll(/--[a-z-]+/g)].map(([flag]) => flag), '--help', '--json', '--store'].toSorted(),
    ]);
    const helped = await Promise.all(
      commands.map(async ([command]) => [bare(command!), await helpFlags(bare(command!))]),
    );
    expect(named).toEqual(helped);
  });

  it('has examples that load, one of them with every key', () => {
    const loaded = blocks('docs/configuration.md', 'yaml').map((yaml, index) => {
      const file = join(folder, `${index}.yaml`);
      writeFileSync(file, yaml);
      return readConfig(file).values;
    });
    expect(loaded.map((values) => Object.keys(values))).toEqual([Object.keys(SETTINGS), ['root']]);
    expect(loaded[0]).toMatchObject({ root: folder, workers: 3, drainMs: 30_000, caseInsensitive: true });
  });

  it('lists the exit codes', () => {
    const codes = table('docs/configuration.md', 'Exit codes').map(([code]) => Number(code));
    expect(codes).toEqual(Object.values(EXIT));
  });
});

describe('docs/boot-configs.md', () => {
  it('lists what a route may say', () => {
    const page = read('docs/boot-configs.md').split('## Patterns')[0]!;
    const listed = [...page.matchAll(/^\| `([a-zA-Z]+)` \|/gm)].map((match) => match[1]!);
    expect(['match', ...listed]).toEqual(ROUTE_KEYS);
  });

  it('lists the captures that there are', () => {
    const listed = table('docs/boot-configs.md', 'Patterns').map(([capture]) => bare(capture!));
    for (const capture of listed) expect(parsePattern(`x/${capture}`).captures).toHaveLength(1);
    expect(() => parsePattern('x/{none}')).toThrow(`expected one of ${listed.join(', ')}, got {none}`);
  });

  it('names exactly the settings that change while the server runs', () => {
    const [, named] = /^((?:`\w+`(?:, | and ))+`\w+`) change this way/m.exec(read('docs/boot-configs.md'))!;
    const live = SETTING_LIST.filter(({ isLive }) => isLive === true).map(({ key }) => key);
    expect(named!.match(/\w+(?=`)/g)).toEqual(live);
  });

  it('names exactly the flags of the previews', async () => {
    const page = read('docs/boot-configs.md').split('## See before serving')[1]!;
    const named = new Set([...page.matchAll(/`(--[a-z0-9-]+)/g)].map((match) => match[1]!));
    const { stdout } = await runCommand(['explain', '--help']);
    const flags = [...stdout.matchAll(/^ {2}(--[a-z-]+)/gm)].map((match) => match[1]!);
    expect([...named].toSorted()).toEqual(flags.filter((flag) => flag !== '--help').toSorted());
  });
});

describe('docs/protocol.md', () => {
  const rfcOf = (cell: string): string => /\d{4}/.exec(cell)![0];

  it('has a row for each RFC, and README.md agrees with it', () => {
    const full = table('docs/protocol.md', 'RFCs').map(([rfc, supported]) => [rfcOf(rfc!), supported!]);
    expect(full.map(([rfc]) => rfc)).toEqual(['1350', '1123', '2347', '2348', '2349', '7440', '2090', '3617']);
    const short = table('README.md', 'What it does').map(([rfc, supported]) => [
      rfcOf(rfc!),
      /^(?:yes|no|partial)/.exec(supported!)?.[0],
    ]);
    expect(short).toEqual(full);
  });

  it('lists the options that are understood', () => {
    const listed = table('docs/protocol.md', 'Options').map(([option]) => bare(option!));
    expect(listed.toSorted()).toEqual([...OPTION_NAMES].toSorted());
  });

  it('lists the outcomes', () => {
    expect(table('docs/protocol.md', 'Outcomes').map(([outcome]) => bare(outcome!))).toEqual([...OUTCOMES]);
  });

  it('quotes error texts that the code sends', () => {
    const sent = [
      'src/server/refuser.ts',
      'src/session/sender.ts',
      'src/engine/running.ts',
      'src/engine/stranger.ts',
      'src/pool/cell-supervision.ts',
    ]
      .map(read)
      .join('');
    for (const [, , text] of table('docs/protocol.md', 'Errors we send')) expect(sent).toContain(`'${bare(text!)}'`);
  });
});

describe('the library example in docs/library.md', () => {
  it('runs', async () => {
    const [example] = blocks('docs/library.md', 'js');
    // The working directory is the package, so importing the package by name loads the build.
    const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', example!], { cwd: ROOT });
    expect(stderr).toBe('');
    expect(stdout.trim().split('\n').toSorted()).toEqual([
      'got "Good morning.\\n", complete',
      'sent motd: 14 bytes, complete',
    ]);
  });
});

describe('the benchmarks', () => {
  it.each(microBenchmarks().map((benchmark) => [benchmark.name, benchmark] as const))(
    'do the work that they measure: %s',
    async (_, benchmark) => {
      const prepared = await benchmark.prepare();
      try {
        await runBatch(benchmark, prepared, benchmark.batch);
        await expect(runBatch({ ...benchmark, pieces: benchmark.pieces + 1 }, prepared, 1)).rejects.toThrow(/expected/);
      } finally {
        await prepared.close?.();
      }
    },
  );
});
