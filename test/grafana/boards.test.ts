/** The checked-in boards: they match the code that generates them, and all their metrics exist. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { BOARDS, fileOf, panelsOf, queriesOf, textOf, withPanels } from '../../grafana/src/boards.ts';
import { COLUMNS } from '../../grafana/src/panels.ts';
import { read } from '../support/pages.ts';

const GRAFANA = join(import.meta.dirname, '../../grafana');
const panels = BOARDS.flatMap((board) => panelsOf(board).map((panel) => ({ board: board.title!, panel })));

/** Names of the metrics in src/telemetry, which declares all of them. */
function declared(): ReadonlySet<string> {
  const folder = join(import.meta.dirname, '../../src/telemetry');
  const names = readdirSync(folder)
    .filter((name) => name.endsWith('metrics.ts'))
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').match(/(?<=')reveille_[a-z_]+(?=')/g) ?? []);
  return new Set(names);
}

function metricsIn(text: string): string[] {
  return [...text.matchAll(/(?<![:\w])reveille_[a-z_]+(?![:\w])/g)].map(([name]) => name.replace(/_bucket$/, ''));
}

describe('the boards', () => {
  it.each(BOARDS.map((board) => [fileOf(board), textOf(board)]))(
    'are checked in as they are made: %s',
    (file, text) => {
      // `npm run grafana` updates the file.
      expect(readFileSync(join(GRAFANA, file), 'utf8')).toBe(text);
    },
  );

  it('are all the files there are', () => {
    expect(readdirSync(join(GRAFANA, 'dashboards')).toSorted()).toEqual(
      BOARDS.map((board) => fileOf(board).replace('dashboards/', '')).toSorted(),
    );
  });

  it('have every panel with its question in README.md', () => {
    const page = read('grafana/README.md');
    // `npm run grafana` updates the page.
    expect(page).toBe(withPanels(page));
    for (const { panel } of panels) expect(page).toContain(`| ${panel.title} | ${panel.description} |`);
  });

  it('are made of panels with a question, a unit and queries that heed the variables', () => {
    expect(panels.length).toBeGreaterThan(40);
    const titles = panels.map(({ board, panel }) => `${board}: ${panel.title}`);
    expect(new Set(titles).size).toBe(titles.length);
    for (const { panel } of panels) {
      expect(panel.description).toMatch(/^[^?]+\?/);
      expect(panel.fieldConfig?.defaults.unit).toMatch(/^[A-Za-z]+$/);
      expect(queriesOf(panel).length).toBeGreaterThan(0);
      for (const { expr } of queriesOf(panel)) {
        // Every metric must have the two selectors, and every range must be one that Grafana adapts.
        const bare = expr.match(
          /(?<![:\w])(?:reveille|process|nodejs)_\w+(?!\w|\{job=~"\$job", instance=~"\$instance")/g,
        );
        expect(bare).toBeNull();
        for (const [, range] of expr.matchAll(/\[([^\]]*)\]/g)) expect(range).toMatch(/^\$__(?:rate_interval|range)$/);
      }
    }
  });

  it('stand on the grid without gaps and overlaps', () => {
    for (const board of BOARDS) {
      const taken = new Set<string>();
      for (const { gridPos } of board.panels!) {
        const { x, y, w, h } = gridPos!;
        expect(x + w).toBeLessThanOrEqual(COLUMNS);
        for (let cell = 0; cell < w * h; cell++) {
          const at = `${x + (cell % w)} ${y + Math.floor(cell / w)}`;
          expect(taken).not.toContain(at);
          taken.add(at);
        }
      }
      const height = Math.max(...board.panels!.map(({ gridPos }) => gridPos!.y + gridPos!.h));
      expect(taken.size).toBe(COLUMNS * height);
    }
  });
});

describe('metrics', () => {
  const known = declared();
  const rules = ['reveille.rules.yml', 'reveille.alerts.yml'].map((name) => read(`grafana/prometheus/${name}`));

  it('that boards and rules name are declared', () => {
    const named = [...BOARDS.map(textOf), ...rules].flatMap(metricsIn);
    expect(named.length).toBeGreaterThan(100);
    expect([...new Set(named)].filter((name) => !known.has(name))).toEqual([]);
  });

  it('that alerts count fires are declared, as recordings that the boards do not need', () => {
    const recorded = rules[0]!.match(/(?<=record: )\S+/g)!;
    const used = rules[1]!.match(/\b[a-z_]+:reveille_\w+:\w+/g)!;
    expect(used.filter((name) => !recorded.includes(name))).toEqual([]);
    expect(BOARDS.map(textOf).join('')).not.toMatch(/:reveille_/);
  });
});

describe('the provisioning', () => {
  it('scrapes as often as Grafana believes, and puts the boards where README.md copies them', () => {
    const prometheus = parse(read('grafana/prometheus/prometheus.yml')) as {
      scrape_configs: { scrape_interval: string }[];
    };
    const sources = parse(read('grafana/provisioning/datasources/reveille.yaml')) as {
      datasources: { type: string; jsonData: { timeInterval: string } }[];
    };
    const boards = parse(read('grafana/provisioning/dashboards/reveille.yaml')) as {
      providers: { type: string; options: { path: string } }[];
    };
    expect(sources.datasources[0]!.type).toBe('prometheus');
    expect(sources.datasources[0]!.jsonData.timeInterval).toBe(prometheus.scrape_configs[0]!.scrape_interval);
    expect(read('grafana/README.md')).toContain(`cp grafana/dashboards/*.json ${boards.providers[0]!.options.path}/\n`);
  });
});
