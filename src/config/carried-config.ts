/**
 * A config converted from another server's: its settings, and remarks on what could not be converted. Written as YAML
 * and as text.
 */
import { stringify } from 'yaml';
import type { RouteConfig } from '../render/types.ts';
import { printableText } from '../text/escape.ts';

export interface CarriedConfig {
  /** Names of the files that it was made from, as shown to people. */
  readonly from: readonly string[];
  /** Settings by the keys of a config file, as written there. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly routes: readonly RouteConfig[];
  /** One line per option that was not carried over, or only approximately. */
  readonly remarks: readonly string[];
}

/** Cap on the length of shown names and remarks, in characters. */
const MAX_SHOWN = 400;

/** Returns the remarks in their order, escaped for a terminal or a comment. */
export function shownRemarks({ remarks }: CarriedConfig): string[] {
  return remarks.map((remark) => printableText(remark, MAX_SHOWN));
}

/** Returns the text of the config file, with the remarks as comments. */
export function carriedYaml(config: CarriedConfig): string {
  const { from, settings, routes } = config;
  const remarks = shownRemarks(config);
  const head = [
    `Written by \`reveille init\` from ${from.map((file) => printableText(file, MAX_SHOWN)).join(' and ')}.`,
    ...(remarks.length === 0 ? [] : ['Not converted, or only in part:', ...remarks.map((remark) => `- ${remark}`)]),
  ];
  const body = stringify(routes.length === 0 ? settings : { ...settings, routes }, { lineWidth: 0 });
  return `${head.map((line) => `# ${line}\n`).join('')}\n${body}`;
}
