/** The tables of docs/storm-profiles.md that say what HTTP profiles do, as rows of cells. */
import type { HttpProfile, HttpTrouble } from '../../../src/storm/plan/profile.ts';
import { waitAfter } from '../../../src/session/manners.ts';

function time(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${ms / 1000} s`;
}

function connections({ keepAliveMs, reopens }: HttpProfile): string {
  if (keepAliveMs === 0) return 'one for each request';
  const kept = keepAliveMs >= 3_600_000 ? 'kept to the end of the boot' : `kept for ${time(keepAliveMs)}`;
  return reopens ? `${kept}; a closed one is opened again` : kept;
}

export function httpRequests(profiles: readonly HttpProfile[]): string[][] {
  return profiles.map((profile) => [
    `\`${profile.name}\``,
    profile.head ? 'HEAD, GET' : 'GET',
    profile.fields.map(({ name, value }) => `\`${name}: ${value}\``).join(', '),
    connections(profile),
    profile.resets ? 'reset' : 'in order',
    profile.toTheLetter ? 'to the letter' : 'in any spelling',
    profile.source.replaceAll('|', '\\|'),
  ]);
}

const TROUBLES: Readonly<Record<HttpTrouble, string>> = {
  refused: 'a refused connection',
  silence: 'silence',
  lost: 'a lost connection',
  busy: 'status 408, 429, 500, 502, 503, 504',
  'retry-after': 'an error with Retry-After',
};

function waits({ schedule, asksAgainAfter }: HttpProfile): string {
  if (asksAgainAfter.length === 0) return '–';
  const list = [...new Set([1, 2, 3].map((send) => time(waitAfter(schedule, send))))];
  return list.join(', ');
}

export function httpPatience(profiles: readonly HttpProfile[]): string[][] {
  return profiles.map((profile) => [
    `\`${profile.name}\``,
    time(profile.connectMs),
    time(profile.headMs),
    time(profile.bodyMs),
    profile.asksAgainAfter.map((trouble) => TROUBLES[trouble]).join('; ') || 'nothing',
    waits(profile),
    String(profile.schedule.sends),
    profile.resumes ? 'where it broke off' : profile.asksAgainAfter.length === 0 ? '–' : 'from the start',
  ]);
}
