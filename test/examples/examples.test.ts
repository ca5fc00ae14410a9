/**
 * Every example is valid and serves, and all nodes boot from it, known and unknown ones. A loader that searches for its
 * config under several names finds the right file; each name before it gets error 1, logged only at debug level.
 */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { storm } from '../cli/storm-fixture.ts';
import { runBuilt } from '../support/command.ts';
import { TFTP_PROFILES } from '../../src/storm/plan/profiles.ts';
import { expand, nodeVariables } from '../../src/storm/plan/variables.ts';
import { EXAMPLES, ExampleServer } from './fixture.ts';

const KNOWN = 1;
const UNKNOWN = 4711;

/** Names that a node with an address of its own would request. */
function searchOf(profile: string, node: number): string[] {
  const variables = nodeVariables(node, '192.168.5.10');
  return TFTP_PROFILES.get(profile)!.configSearch!.map((template) => expand(template, variables));
}

/** Requests one name after the other until one exists. */
async function search(server: ExampleServer, names: readonly string[]): Promise<{ misses: string[]; found: string }> {
  const misses: string[] = [];
  for (const name of names) {
    // oxlint-disable-next-line no-await-in-loop -- a loader asks for the next name once it knows about this one.
    const answer = await server.ask(name);
    if (answer !== 'error 1') return { misses, found: `${name}: ${answer.split('\n', 2).join('|')}` };
    misses.push(name);
  }
  return { misses, found: 'nothing' };
}

interface Case {
  readonly example: string;
  readonly profile: string;
  readonly node: number;
  readonly names?: readonly string[];
  /** Number of missing names before the one that exists. */
  readonly misses: number;
  readonly found: RegExp;
}

const MAC = '52-54-00-00-00-01';

const CASES: readonly Case[] = [
  {
    example: 'pxelinux',
    profile: 'pxelinux',
    node: KNOWN,
    misses: 1,
    found: /^pxelinux\.cfg\/01-.*: # Made for rack1-01/,
  },
  {
    example: 'pxelinux',
    profile: 'pxelinux',
    node: UNKNOWN,
    misses: 10,
    found: /^pxelinux\.cfg\/default: # For machines/,
  },
  {
    example: 'grub-bios',
    profile: 'grub',
    node: KNOWN,
    misses: 1,
    found: /^\/grub\/grub\.cfg-01-.*: # Made for rack1-01/,
  },
  { example: 'grub-bios', profile: 'grub', node: UNKNOWN, misses: 10, found: /^\/grub\/grub\.cfg: # For machines/ },
  {
    example: 'grub-uefi',
    profile: 'grub',
    node: KNOWN,
    misses: 1,
    found: /^\/grub\/grub\.cfg-01-.*: # Made for rack1-01/,
  },
  { example: 'grub-uefi', profile: 'grub', node: UNKNOWN, misses: 10, found: /^\/grub\/grub\.cfg: # For machines/ },
  { example: 'ipxe', profile: 'ipxe', node: KNOWN, misses: 0, found: /^ipxe\/autoexec\.ipxe: #!ipxe\|chain/ },
  {
    example: 'ipxe',
    profile: 'ipxe',
    node: KNOWN,
    names: [`ipxe/${MAC}.ipxe`, 'ipxe/default.ipxe'],
    misses: 0,
    found: /#!ipxe\|# Made for rack1-01/,
  },
  {
    example: 'ipxe',
    profile: 'ipxe',
    node: UNKNOWN,
    names: ['ipxe/52-54-00-00-12-67.ipxe', 'ipxe/default.ipxe'],
    misses: 1,
    found: /^ipxe\/default\.ipxe: #!ipxe\|# For machines/,
  },
  { example: 'u-boot', profile: 'u-boot', node: KNOWN, misses: 1, found: /^pxelinux\.cfg\/01-.*: # Made for rack1-01/ },
  {
    example: 'u-boot',
    profile: 'u-boot',
    node: UNKNOWN,
    misses: 12,
    found: /^pxelinux\.cfg\/default-arm: .*architecture arm/,
  },
  {
    example: 'raspberry-pi',
    profile: 'raspberry-pi',
    node: KNOWN,
    misses: 0,
    found: /^688990c0\/config\.txt: # Made for pi-01/,
  },
  { example: 'raspberry-pi', profile: 'raspberry-pi', node: UNKNOWN, misses: 1, found: /^config\.txt: # For boards/ },
];

describe.each([...new Set(CASES.map(({ example }) => example))])('examples/%s', (example) => {
  const config = join(EXAMPLES, example, 'reveille.yaml');

  it('is valid', async () => {
    const { code, stdout, stderr } = await runBuilt(['validate', '--config', config]);
    expect({ code, stderr, last: stdout.trim().split('\n').at(-1) }).toEqual({ code: 0, stderr: '', last: 'valid' });
  }, 120_000);

  it('has the right file after the right misses, and boots the nodes of its plan', async () => {
    const server = await ExampleServer.start(config, '--log-level', 'debug');
    const missed: string[] = [];
    for (const one of CASES.filter((other) => other.example === example)) {
      const { profile, node, misses, found, names = searchOf(profile, node) } = one;
      // oxlint-disable-next-line no-await-in-loop -- one loader after the other.
      const result = await search(server, names);
      expect(result).toEqual({ misses: names.slice(0, misses), found: expect.stringMatching(found) });
      missed.push(...result.misses);
    }

    const plan = ['--plan', join(EXAMPLES, example, 'storm.yaml'), '--nodes', '20', '--arrival', 'burst'];
    const { code, report, stderr } = await storm(server.port, [...plan, '--slo', 'failed=0,violations=0']);
    expect({ stderr, failures: report.failures, violations: report.violations }).toEqual({
      stderr: '',
      failures: [],
      violations: [],
    });
    expect([code, report.completed]).toEqual([0, 20]);

    const refused = (await server.stop()).filter(({ msg }) => msg === 'refused');
    expect(refused.slice(0, missed.length).map(({ file }) => file)).toEqual(missed);
    expect(refused.map(({ level, errorCode }) => [level, errorCode])).toEqual(refused.map(() => ['debug', 1]));
  }, 120_000);
});

describe('the search for a config', () => {
  it('logs misses at debug only, and knows a MAC in any spelling', async () => {
    const server = await ExampleServer.start(join(EXAMPLES, 'ipxe/reveille.yaml'));
    expect(await server.ask('ipxe/52-54-00-00-00-99.ipxe')).toBe('error 1');
    for (const spelling of [MAC, '52:54:00:00:00:01', '525400000001', MAC.toUpperCase()]) {
      // oxlint-disable-next-line no-await-in-loop -- one request after the other.
      expect(await server.ask(`ipxe/${spelling}.ipxe`)).toContain('Made for rack1-01');
    }
    const lines = await server.stop();
    expect(lines.filter(({ msg }) => !['listening', 'transfer', 'stopping', 'stopped'].includes(msg))).toEqual([]);
  }, 120_000);
});
