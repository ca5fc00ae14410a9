/** The rules and alerts, checked by promtool and against the runbook. */
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { promtool, hasPrometheus } from '../support/prometheus.ts';
import { read } from '../support/pages.ts';

interface Alert {
  readonly alert: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<string, string>>;
}

interface RuleTest {
  readonly alert_rule_test?: readonly { readonly alertname: string; readonly exp_alerts?: readonly unknown[] }[];
}

const alerts = (
  parse(read('grafana/prometheus/reveille.alerts.yml')) as { groups: { rules: Alert[] }[] }
).groups.flatMap(({ rules }) => rules);

describe('the alerts', () => {
  it('exist for every condition', () => {
    expect(alerts.length).toBeGreaterThanOrEqual(8);
  });

  it.each(alerts.map((alert) => [alert.alert, alert] as const))('%s has its section in the runbook', (name, alert) => {
    const { summary, description, runbook_url: runbook } = alert.annotations;
    expect(summary).not.toBe('');
    expect(description).toMatch(/\.$/);
    expect(['critical', 'warning', 'info']).toContain(alert.labels.severity);
    expect(runbook).toBe(`docs/operations.md#${name.toLowerCase()}`);
    const section = read('docs/operations.md')
      .split(/^### /m)
      .find((part) => part.startsWith(`${name}\n`));
    // The section must explain the meaning of the alert and the remedy.
    expect(section?.length).toBeGreaterThan(name.length + 200);
  });

  it('have no sections of alerts that do not exist', () => {
    const sections = read('docs/operations.md').match(/(?<=^### )Reveille\w+$/gm);
    expect(sections?.toSorted()).toEqual(alerts.map(({ alert }) => alert).toSorted());
  });

  it('have unit tests each, of when they fire and of when they do not', () => {
    const { tests } = parse(read('grafana/prometheus/reveille.test.yml')) as { tests: RuleTest[] };
    const cases = tests.flatMap(({ alert_rule_test: some }) => some ?? []);
    const fires = cases.filter(({ exp_alerts: expected }) => (expected?.length ?? 0) > 0);
    const quiet = cases.filter(({ exp_alerts: expected }) => (expected?.length ?? 0) === 0);
    for (const { alert } of alerts) {
      expect(fires.map(({ alertname }) => alertname)).toContain(alert);
      expect(quiet.map(({ alertname }) => alertname)).toContain(alert);
    }
  });
});

describe.skipIf(!hasPrometheus)('promtool', () => {
  it.each([
    ['check', 'config', 'prometheus.yml'],
    ['check', 'rules', 'reveille.rules.yml', 'reveille.alerts.yml'],
    ['test', 'rules', 'reveille.test.yml'],
  ])('accepts %s %s', async (...args) => {
    expect(await promtool(args)).toEqual({ code: 0, output: expect.stringContaining('SUCCESS') });
  });
});
