import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MAX_CONTROL } from '../../../src/protocol/encode.ts';
import { patienceOf, type Schedule, type UnexpectedBlock, waitAfter } from '../../../src/session/manners.ts';
import type { TftpProfile, RequestOption } from '../../../src/storm/plan/profile.ts';
import { HTTP_PROFILES } from '../../../src/storm/plan/http-profiles.ts';
import { PROFILES, TFTP_PROFILES } from '../../../src/storm/plan/profiles.ts';
import { checkTemplate, expand, nodeVariables } from '../../../src/storm/plan/variables.ts';
import { httpPatience, httpRequests } from './http-tables.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../../docs/storm-profiles.md'), 'utf8');

/** Rows of the first table below a heading, cell by cell, without the header. */
function table(heading: string): string[][] {
  const lines = PAGE.slice(PAGE.indexOf(`\n## ${heading}\n`) + 1).split('\n');
  const first = lines.findIndex((line) => line.startsWith('|'));
  const rows: string[][] = [];
  for (let row = first + 2; lines[row]?.startsWith('|') === true; row++) {
    const cells = lines[row]!.split('|').slice(1, -1);
    rows.push(cells.map((cell) => cell.trim()));
  }
  return rows;
}

const all = [...TFTP_PROFILES.values()];

function profile(name: string): TftpProfile {
  const found = TFTP_PROFILES.get(name);
  if (found === undefined) throw new Error(`Expected a profile ${name}`);
  return found;
}

function spelled(options: readonly RequestOption[]): string {
  return options.map(({ name, value }) => `\`${name} ${value}\``).join(', ') || 'none';
}

function seconds(ms: number): string {
  if (ms < 1000) return `${ms} ms`;
  return `${ms < 100_000 ? Math.round(ms / 10) / 100 : Math.round(ms / 1000)} s`;
}

function spell(schedule: Schedule): string {
  return `${seconds(schedule.firstMs)} / ${seconds(patienceOf(schedule))}`;
}

const ANSWERS: Readonly<Record<UnexpectedBlock, string>> = {
  once: 'last ACK, once per gap',
  always: 'last ACK, each time',
  old: 'last ACK, only for old blocks',
  ignore: 'none',
  hang: 'none, and hangs',
};

describe('the page of profiles', () => {
  it('shows the requests as they are sent', () => {
    expect(table('Requests')).toEqual(
      all.map(({ name, options, probe, ports, source }) => [
        `\`${name}\``,
        probe === undefined ? '–' : spelled(probe.options),
        spelled(options),
        ports,
        source.replaceAll('|', '\\|'),
      ]),
    );
  });

  it('shows when each profile asks again and gives up', () => {
    expect(table('Patience')).toEqual(
      all.map(({ name, manners, lingerMs }) => [
        `\`${name}\``,
        spell(manners.request),
        spell(manners.data),
        manners.repeatsAck ? 'last ACK' : 'nothing',
        manners.fileMs === undefined ? '–' : seconds(manners.fileMs),
        lingerMs === 0 ? 'no' : seconds(lingerMs),
      ]),
    );
  });

  it('shows how each profile reacts to an unexpected block, and how it closes a file', () => {
    expect(table('Manners')).toEqual(
      all.map(({ name, manners, close }) => [
        `\`${name}\``,
        manners.needsOack ? 'fails' : 'goes on',
        ANSWERS[manners.unexpected],
        `${close.code} "${close.message}"`,
      ]),
    );
  });

  it('shows what each HTTP client sends, and how it uses connections', () => {
    expect(table('Requests over HTTP')).toEqual(httpRequests(HTTP_PROFILES));
  });

  it('shows when each HTTP client gives up and asks again', () => {
    expect(table('Patience over HTTP')).toEqual(httpPatience(HTTP_PROFILES));
  });

  it('shows the search list of each profile, in its order', () => {
    expect(table('Search lists')).toEqual(
      all
        .filter(({ configSearch }) => configSearch !== undefined)
        .map(({ name, configSearch }) => [`\`${name}\``, configSearch!.map((file) => `\`${file}\``).join(', ')]),
    );
  });
});

describe('profiles', () => {
  it('are called by the names that plans use', () => {
    expect([...PROFILES.keys()]).toEqual([
      'pxe-rom',
      'edk2',
      'shim',
      'pxelinux',
      'lpxelinux',
      'grub',
      'ipxe',
      'u-boot',
      'raspberry-pi',
      'windows',
      'bare',
      'ipxe-http',
      'uefi-http',
      'grub-http',
      'curl',
    ]);
    for (const [name, { name: own }] of PROFILES) expect(own).toBe(name);
  });

  // Values from the sources of each loader, in milliseconds: the first wait, and the sum of all waits.
  it.each([
    ['edk2', 4000, 24_000],
    ['shim', 4000, 24_000],
    ['grub', 400, 31_600],
    ['ipxe', 250, 15_750],
    ['u-boot', 5000, 55_000],
    ['raspberry-pi', 5000, 30_000],
    ['bare', 1000, 63_000],
  ])('%s asks again after %i ms and gives up after %i ms', (name, firstMs, patienceMs) => {
    const { request } = profile(name).manners;
    expect(waitAfter(request, 1)).toBe(firstMs);
    expect(patienceOf(request)).toBe(patienceMs);
  });

  it('PXELINUX waits 31 times, from 2 to 255 ticks of 18.2 Hz, and 2382 in all', () => {
    const tickMs = 1000 / 18.2065;
    for (const schedule of [profile('pxelinux').manners.request, profile('pxelinux').manners.data]) {
      expect(schedule.sends).toBe(31);
      expect(waitAfter(schedule, 1)).toBeCloseTo(2 * tickMs, -0.5);
      expect(Math.abs(waitAfter(schedule, 31) - 255 * tickMs)).toBeLessThan(10);
      expect(Math.abs(patienceOf(schedule) - 2382 * tickMs)).toBeLessThan(200);
    }
  });

  it('iPXE waits twice as long each time, GRUB 20 ms longer', () => {
    const waits = (name: string): number[] =>
      [1, 2, 3, 4].map((send) => waitAfter(profile(name).manners.request, send));
    expect(waits('ipxe')).toEqual([250, 500, 1000, 2000]);
    expect(waits('grub')).toEqual([400, 420, 440, 460]);
  });

  it('GRUB waits 32.4 s for data and sends nothing', () => {
    const { data, repeatsAck, unexpected, needsOack } = profile('grub').manners;
    expect(patienceOf(data)).toBe(32_400);
    expect({ repeatsAck, unexpected, needsOack }).toEqual({ repeatsAck: false, unexpected: 'old', needsOack: true });
  });

  it('only UEFI and ROMs ask for the size first, and never for it again', () => {
    const probing = all.filter(({ probe }) => probe !== undefined);
    expect(probing.map(({ name }) => name)).toEqual(['pxe-rom', 'edk2']);
    for (const { options, probe } of probing) {
      expect(probe!.options[0]).toEqual({ name: 'tsize', value: '0' });
      expect(options.map(({ name }) => name)).not.toContain('tsize');
    }
  });

  it('no loader of kernels asks for a window', () => {
    for (const name of ['pxelinux', 'grub', 'ipxe', 'u-boot']) {
      expect(profile(name).options.map((option) => option.name)).not.toContain('windowsize');
    }
  });

  it('PXELINUX asks for eleven names, from its UUID to the default', () => {
    const variables = nodeVariables(5, '192.168.10.5');
    const names = profile('pxelinux').configSearch!.map((name) => expand(name, variables));
    expect(names).toEqual([
      `pxelinux.cfg/${variables.get('uuid')}`,
      'pxelinux.cfg/01-52-54-00-00-00-05',
      'pxelinux.cfg/C0A80A05',
      'pxelinux.cfg/C0A80A0',
      'pxelinux.cfg/C0A80A',
      'pxelinux.cfg/C0A80',
      'pxelinux.cfg/C0A8',
      'pxelinux.cfg/C0A',
      'pxelinux.cfg/C0',
      'pxelinux.cfg/C',
      'pxelinux.cfg/default',
    ]);
    expect(profile('grub').configSearch).toHaveLength(11);
    expect(profile('u-boot').configSearch).toHaveLength(14);
  });

  // Values from the sources of each client, in milliseconds.
  it.each([
    ['ipxe-http', 10_000, 120_000, 120_000],
    ['uefi-http', 3_600_000, 5000, 5000],
    ['grub-http', 0, 30_000, 32_400],
  ])(
    '%s keeps a connection for %i ms, waits %i ms for a head and %i ms for a byte',
    (name, keepAliveMs, headMs, bodyMs) => {
      expect(PROFILES.get(name)).toMatchObject({ keepAliveMs, headMs, bodyMs });
    },
  );

  it('have search lists of known variables, and requests that fit', () => {
    const variables = nodeVariables(1, '127.255.255.254');
    for (const { configSearch = [], options, probe } of all) {
      for (const template of configSearch) {
        expect(checkTemplate(template)).toBeUndefined();
        for (const list of [options, probe?.options ?? []]) {
          const strings = [expand(template, variables), 'octet', ...list.flatMap(({ name, value }) => [name, value])];
          expect(strings.reduce((sum, text) => sum + text.length + 1, 2)).toBeLessThanOrEqual(MAX_CONTROL);
        }
      }
    }
  });
});
