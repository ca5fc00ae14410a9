import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { InputMistake } from '../../../src/storm/input-mistake.ts';
import { PROFILES } from '../../../src/storm/plan/profiles.ts';
import { planFromFiles, plannedFiles, readPlan } from '../../../src/storm/plan/read-plan.ts';

const EXAMPLES = join(import.meta.dirname, '../../../examples');
const SHA256 = 'E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof InputMistake && !error.message.includes('\n')) return error.message;
    throw error;
  }
  throw new Error('Expected a mistake');
}

function exactly(text: string): RegExp {
  return new RegExp(`^${text.replace(/[$()*+.?[\\\]^{|}]/g, '\\$&')}$`);
}

/** Error message for a plan. */
function refusal(yaml: string): string {
  return messageOf(() => readPlan(yaml, 'plan.yaml'));
}

describe('a plan', () => {
  it('has the values of its stages, and defaults for the rest', () => {
    const plan = readPlan(
      [
        'name: two',
        'profile: pxelinux',
        'stages:',
        '  - { name: config, search: profile, think: 100ms..300ms, optional: true, repeat: 2 }',
        '  - name: menu',
        '    search: ["{hexip}.cfg", default.cfg]',
        '    closeAfterBlocks: 1',
        '    think: 1.5s',
        '  - name: kernel',
        '    profile: grub',
        '    file: boot/linux',
        '    size: 12',
        `    sha256: "${SHA256}"`,
      ].join('\n'),
      'plan.yaml',
    );
    const pxelinux = PROFILES.get('pxelinux')!;
    expect(plan).toEqual({
      name: 'two',
      stages: [
        {
          name: 'config',
          profile: pxelinux,
          search: pxelinux.configSearch,
          optional: true,
          repeat: 2,
          think: { fromMs: 100, toMs: 300 },
        },
        {
          name: 'menu',
          profile: pxelinux,
          search: ['{hexip}.cfg', 'default.cfg'],
          optional: false,
          repeat: 1,
          think: { fromMs: 1500, toMs: 1500 },
          closeAfterBlocks: 1,
        },
        {
          name: 'kernel',
          profile: PROFILES.get('grub'),
          search: ['boot/linux'],
          optional: false,
          repeat: 1,
          think: { fromMs: 0, toMs: 0 },
          size: 12,
          sha256: SHA256.toLowerCase(),
        },
      ],
    });
    // The plan is sent to threads, so it must survive structuredClone.
    expect(structuredClone(plan)).toEqual(plan);
  });

  const stage = (text: string): string => `name: p\nprofile: bare\nstages:\n  - name: kernel\n    ${text}\n`;

  it.each([
    ['', 'plan.yaml:1:1: plan: expected a map of keys, got nothing'],
    ['- 1', 'plan.yaml:1:1: plan: expected a map of keys, got a list'],
    ['name: p', /^plan\.yaml:1:1: stages: expected a list of 1 to 64 stages, got nothing$/],
    ['name: p\nstages: []', 'plan.yaml:2:1: stages: expected a list of 1 to 64 stages, got an empty list'],
    [
      'stages:\n  - {name: a, file: b}',
      'plan.yaml:1:1: name: expected a name of 1 to 60 printable characters, got nothing',
    ],
    [
      'name: 7\nstages: [{name: a, file: b}]',
      'plan.yaml:1:1: name: expected a name of 1 to 60 printable characters, got 7',
    ],
    ['name: p\nstages:\n  - just text', 'plan.yaml:3:5: stages[1]: expected a map of keys, got "just text"'],
    [
      'name: p\nstages:\n  - {name: a, file: b}',
      'plan.yaml:3:5: stages[1]: expected a stage with a profile, or one for the plan, got "a"',
    ],
    [
      'name: p\nprofile: efi\nstages:\n  - {name: a, file: b}',
      /^plan\.yaml:2:1: profile: expected a profile of pxe-rom, edk2, .*, bare, ipxe-http, uefi-http, grub-http, curl, got "efi"$/,
    ],
    [stage('fiel: boot/linux'), 'plan.yaml:5:5: stages[1]: expected a known key (did you mean file?), got "fiel"'],
    [
      stage('loader: boot/linux'),
      'plan.yaml:5:5: stages[1]: expected a key of name, profile, via, file, search, optional, repeat, closeAfterBlocks, ' +
        'think, size, sha256, got "loader"',
    ],
    ['name: p\nstage: []', /^plan\.yaml:1:1: stages: expected a list of 1 to 64 stages, got nothing$/],
    [
      'name: p\nstages: [{name: a, file: b}]\nseed: 1',
      'plan.yaml:3:1: plan: expected a key of name, profile, stages, got "seed"',
    ],
    [stage(''), 'plan.yaml:4:5: stages[1]: expected a stage with file or search, got "kernel"'],
    [
      stage('file: a\n    search: [b]'),
      'plan.yaml:6:5: stages[1].search: expected file or search, not both, got a list',
    ],
    [
      stage('file: {hexip}'),
      /^plan\.yaml:5:5: stages\[1\]\.file: expected a file name \(one with \{ in it needs quotes\), got a map$/,
    ],
    [
      stage("file: 'boot/{host}'"),
      /^plan\.yaml:5:5: stages\[1\]\.file: expected a variable of \{n\}, .* for \{host\}, got "boot\/\{host\}"$/,
    ],
    [
      stage('search: []'),
      /^plan\.yaml:5:5: stages\[1\]\.search: expected a list of 1 to 64 file names .*, got an empty list$/,
    ],
    [
      stage('search: grub'),
      /^plan\.yaml:5:5: stages\[1\]\.search: expected a list of .*, or the word profile, got "grub"$/,
    ],
    [stage('search: [a, 2]'), /^plan\.yaml:5:17: stages\[1\]\.search\[2\]: expected a file name .*, got 2$/],
    [
      stage('search: profile'),
      'plan.yaml:5:5: stages[1].search: expected a list: only pxelinux, lpxelinux, grub, ipxe, u-boot, raspberry-pi, ' +
        'windows search by themselves, got "profile"',
    ],
    [stage('file: a\n    optional: maybe'), 'plan.yaml:6:5: stages[1].optional: expected true or false, got "maybe"'],
    [stage('file: a\n    repeat: 0'), 'plan.yaml:6:5: stages[1].repeat: expected a whole number from 1 to 1000, got 0'],
    [
      stage('file: a\n    repeat: 1.5'),
      'plan.yaml:6:5: stages[1].repeat: expected a whole number from 1 to 1000, got 1.5',
    ],
    [
      stage('file: a\n    think: 300ms..100ms'),
      'plan.yaml:6:5: stages[1].think: expected a time such as 100ms, or a span such as 100ms..300ms, got "300ms..100ms"',
    ],
    [stage('file: a\n    think: 100'), /^plan\.yaml:6:5: stages\[1\]\.think: expected a time .*, got 100$/],
    [
      stage('file: a\n    size: -1'),
      /^plan\.yaml:6:5: stages\[1\]\.size: expected a whole number from 0 to \d+, got -1$/,
    ],
    [stage('file: a\n    sha256: abc'), 'plan.yaml:6:5: stages[1].sha256: expected 64 hex digits in quotes, got "abc"'],
    [
      stage('file: a\n    size: 3\n    closeAfterBlocks: 1'),
      'plan.yaml:6:5: stages[1].size: expected none where closeAfterBlocks leaves the file, got 3',
    ],
    [
      stage('file: a\n  - name: kernel\n    file: b'),
      'plan.yaml:6:5: stages[2].name: expected a name that no stage before it has, got "kernel"',
    ],
    [
      stage(`file: ${'x'.repeat(600)}`),
      `plan.yaml:5:5: stages[1].file: expected a name that fits into a request of 512 bytes, got "${'x'.repeat(60)}..."`,
    ],
    [stage('file: a\n    via: ftp'), 'plan.yaml:6:5: stages[1].via: expected tftp or http, got "ftp"'],
    [
      stage('file: a\n    via: http'),
      'plan.yaml:6:5: stages[1].via: expected tftp, which bare speaks, or a profile of ipxe-http, uefi-http, grub-http, ' +
        'curl, got "http"',
    ],
    [
      stage('file: a\n    profile: curl\n    via: tftp'),
      /^plan\.yaml:7:5: stages\[1\]\.via: expected http, which curl speaks, or a profile of pxe-rom, .*, got "tftp"$/,
    ],
    [
      stage('file: a\n    profile: curl\n    closeAfterBlocks: 1'),
      'plan.yaml:7:5: stages[1].closeAfterBlocks: expected none in a stage over HTTP, which has no blocks, got 1',
    ],
    [
      stage('search: profile\n    profile: curl'),
      /^plan\.yaml:5:5: stages\[1\]\.search: expected a list: only pxelinux/,
    ],
    [
      stage(`file: ${'ü'.repeat(700)}\n    profile: curl`),
      /^plan\.yaml:5:5: stages\[1\]\.file: expected a name of at most 4096 bytes in a URL, got /,
    ],
    ['name: [', /^plan\.yaml:1:\d+: expected YAML, got a mistake: /],
    ['name: a\nname: b', /^plan\.yaml:2:1: expected YAML, got a mistake: /],
    ['name: *nobody', /^plan\.yaml(:1:\d+)?: expected /],
    ['a'.repeat(300_000), 'plan.yaml: expected at most 262144 characters, got 300000'],
    ['['.repeat(100_000), /^plan\.yaml(:1:\d+)?: expected YAML, got /],
  ])('that is wrong is rejected in one line (%#)', (yaml, expected) => {
    expect(refusal(yaml)).toMatch(typeof expected === 'string' ? exactly(expected) : expected);
  });

  it('may mix stages over TFTP and HTTP', () => {
    const yaml = [
      'name: mixed',
      'profile: ipxe-http',
      'stages:',
      '  - { name: loader, via: tftp, profile: edk2, file: ipxe.efi }',
      '  - { name: kernel, via: http, file: linux }',
      `  - { name: initrd, file: ${'n'.repeat(2000)} }`,
    ].join('\n');
    const { stages } = readPlan(yaml, 'plan.yaml');
    expect(stages.map(({ profile: { name, via } }) => [name, via])).toEqual([
      ['edk2', 'tftp'],
      ['ipxe-http', 'http'],
      ['ipxe-http', 'http'],
    ]);
  });

  it('with several mistakes reports the first one', () => {
    expect(refusal(stage('repeat: 0\n    size: -1\n    colour: red'))).toMatch(/^plan\.yaml:5:5: stages\[1\]\.repeat/);
    expect(refusal(stage('colour: red\n    repeat: 0'))).toMatch(/^plan\.yaml:5:5: stages\[1\]: expected a key of/);
  });

  it('shows user input without control characters', () => {
    expect(refusal(stage('think: "\\e[31m\\u202e"'))).toMatch(/got "\\u001b\[31m\\u202e"$/);
  });
});

describe('a plan of files alone', () => {
  it('has a stage for each, named after it', () => {
    const plan = planFromFiles({ profile: 'ipxe', files: ['boot/linux', '{hexip}.cfg', 'boot/linux'] });
    expect(plan.stages.map(({ name, search, profile }) => [name, search, profile.name])).toEqual([
      ['boot/linux', ['boot/linux'], 'ipxe'],
      ['{hexip}.cfg', ['{hexip}.cfg'], 'ipxe'],
      ['boot/linux (2)', ['boot/linux'], 'ipxe'],
    ]);
    expect(plan.stages.every(({ optional, repeat }) => !optional && repeat === 1)).toBe(true);
  });

  it.each([
    [{ profile: 'efi', files: ['a'] }, /^--profile: expected a profile of pxe-rom, .*, got "efi"$/],
    [{ profile: 'ipxe', files: [] }, '--file: expected 1 to 64 file names, got 0'],
    [{ profile: 'ipxe', files: ['a', ''] }, '--file: expected a file name, got ""'],
    [{ profile: 'ipxe', files: ['{x}'] }, /^--file: expected a variable of .* for \{x\}, got "\{x\}"$/],
    [{ profile: 'ipxe', files: ['x'.repeat(500)] }, /^--file: expected a name that fits into a request/],
  ])('that is wrong is rejected in one line (%#)', (options, expected) => {
    const message = messageOf(() => planFromFiles(options));
    expect(message).toMatch(typeof expected === 'string' ? exactly(expected) : expected);
  });
});

describe('the files of a plan', () => {
  it('are those whose names have no variables, each marked as required or optional', () => {
    const plan = readPlan(
      [
        'name: p',
        'profile: ipxe',
        'stages:',
        '  - { name: loader, file: ipxe.efi }',
        '  - { name: config, search: ["{mac}.cfg", default.cfg, default.cfg] }',
        '  - { name: extra, file: extra.img, optional: true }',
        '  - { name: own, file: "{serial}.img" }',
      ].join('\n'),
      'plan.yaml',
    );
    expect(plannedFiles(plan)).toEqual([
      { stage: 'loader', name: 'ipxe.efi', dispensable: false },
      { stage: 'config', name: 'default.cfg', dispensable: true },
      { stage: 'extra', name: 'extra.img', dispensable: true },
    ]);
  });
});

describe('the example plans', () => {
  const plans = readdirSync(join(EXAMPLES, 'storm')).toSorted();

  it('are these', () => {
    expect(plans).toEqual(['bios-pxelinux.yaml', 'ipxe-http.yaml', 'ipxe.yaml', 'uefi-grub.yaml', 'uefi-http.yaml']);
  });

  it.each(plans)('%s goes from a loader over a config to kernel and initrd', (file) => {
    const plan = readPlan(readFileSync(join(EXAMPLES, 'storm', file), 'utf8'), file);
    expect(`${plan.name}.yaml`).toBe(file);
    const names = plan.stages.map(({ name }) => name);
    expect(names.filter((name) => ['loader', 'config', 'kernel', 'initrd'].includes(name))).toEqual([
      'loader',
      'config',
      'kernel',
      'initrd',
    ]);
  });

  it.each(plans)('%s runs as it is against examples/rack', (file) => {
    const plan = readPlan(readFileSync(join(EXAMPLES, 'storm', file), 'utf8'), file);
    const lacking = plan.stages.filter(
      ({ search, optional }) => !optional && !search.some((name) => existsSync(join(EXAMPLES, 'rack', name))),
    );
    expect(lacking.map(({ name }) => name)).toEqual([]);
  });
});
