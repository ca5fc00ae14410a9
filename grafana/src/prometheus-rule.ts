/** The rule files of Prometheus as a PrometheusRule, in which the Prometheus operator takes them from Kubernetes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';

const FOLDER = join(import.meta.dirname, '../prometheus');
const FILES = ['reveille.rules.yml', 'reveille.alerts.yml'];

/** Path from the root of the repository. */
export const PROMETHEUS_RULE = 'deploy/kubernetes/monitoring/prometheus-rule.yaml';

export function prometheusRuleText(): string {
  const groups = FILES.flatMap((name) => {
    const rules = parse(readFileSync(join(FOLDER, name), 'utf8')) as { groups: unknown[] };
    return rules.groups;
  });
  const resource = {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'reveille' },
    spec: { groups },
  };
  return `# Made of ${FILES.join(' and ')} in grafana/prometheus by npm run grafana.\n${stringify(resource, { lineWidth: 0 })}`;
}
