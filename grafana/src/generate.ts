/** `npm run grafana`: writes the boards, the list of their panels, and the rules for the Prometheus operator. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BOARDS, fileOf, textOf, withPanels } from './boards.ts';
import { PROMETHEUS_RULE, prometheusRuleText } from './prometheus-rule.ts';

const FOLDER = join(import.meta.dirname, '..');

mkdirSync(join(FOLDER, 'dashboards'), { recursive: true });
for (const board of BOARDS) writeFileSync(join(FOLDER, fileOf(board)), textOf(board));
const readme = join(FOLDER, 'README.md');
writeFileSync(readme, withPanels(readFileSync(readme, 'utf8')));
writeFileSync(join(FOLDER, '..', PROMETHEUS_RULE), prometheusRuleText());
