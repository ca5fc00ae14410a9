/** The Containerfile gives the image that `npm run image` writes: the same files, and the same instructions. */
import { expect, it } from 'vitest';
import { LABELS, RUN_CONFIG } from '../../packaging/image/description.ts';
import { read } from '../support/pages.ts';

const NANOSECONDS = 1_000_000_000;

interface Instruction {
  readonly name: string;
  readonly value: string;
}

/** Instructions of each stage: lines without comments, continued lines joined. */
function stages(): Instruction[][] {
  const lines = read('Containerfile')
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line !== '');
  const found: Instruction[][] = [];
  for (const line of lines) {
    const [, name, value] = /^([A-Z]+) (.+)$/.exec(line)!;
    if (name === 'FROM') found.push([]);
    found.at(-1)!.push({ name: name!, value: value! });
  }
  return found;
}

function values(instructions: readonly Instruction[], wanted: string): string[] {
  return instructions.filter(({ name }) => name === wanted).map(({ value }) => value);
}

it('the last stage of the Containerfile sets what the image of `npm run image` has, and nothing else', () => {
  const last = stages().at(-1)!;
  const one = (name: string): string => {
    const [value, ...others] = values(last, name);
    expect([name, others]).toEqual([name, []]);
    return value!;
  };
  const seconds = (flag: string, text: string): number => Number(new RegExp(`--${flag}=(\\d+)s `).exec(text)![1]);
  const health = one('HEALTHCHECK');
  const parsed = {
    User: one('USER'),
    ExposedPorts: Object.fromEntries(values(last, 'EXPOSE').map((port) => [port, {}])),
    Env: values(last, 'ENV'),
    Entrypoint: JSON.parse(one('ENTRYPOINT')) as string[],
    Cmd: JSON.parse(one('CMD')) as string[],
    Volumes: Object.fromEntries((JSON.parse(one('VOLUME')) as string[]).map((path) => [path, {}])),
    WorkingDir: one('WORKDIR'),
    StopSignal: one('STOPSIGNAL'),
    Healthcheck: {
      Test: ['CMD', ...(JSON.parse(/ CMD (\[.*\])$/.exec(health)![1]!) as string[])],
      Interval: seconds('interval', health) * NANOSECONDS,
      Timeout: seconds('timeout', health) * NANOSECONDS,
      StartPeriod: seconds('start-period', health) * NANOSECONDS,
      Retries: Number(/--retries=(\d+) /.exec(health)![1]),
    },
  };
  expect(parsed).toEqual(RUN_CONFIG);
  const labels = values(last, 'LABEL').map((label) => /^(\S+)="(.*)"$/.exec(label)!.slice(1));
  expect(Object.fromEntries(labels)).toEqual(LABELS);
  const about = JSON.parse(read('package.json')) as { description: string; license: string };
  expect(Object.values(LABELS)).toEqual(['Reveille', about.description, about.license]);
  expect([one('FROM'), one('COPY')]).toEqual(['scratch', '--from=build /reveille/build/root/ /']);
  const known = 'FROM COPY LABEL USER WORKDIR ENV EXPOSE VOLUME STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD'.split(' ');
  expect(last.map(({ name }) => name).filter((name) => !known.includes(name))).toEqual([]);
});

it('the first stage makes the files with the scripts of this repository, in relative folders', () => {
  const [build] = stages();
  expect(values(build!, 'RUN')).toEqual([
    'npm ci --ignore-scripts --no-audit --no-fund',
    'npm run --silent image',
    'npx tsx packaging/image/unpack.ts build/image build/root',
  ]);
  expect(read('.dockerignore')).toMatch(/^node_modules\ndist\nbuild\n/m);
});
