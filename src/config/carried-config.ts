/** A config made from that of another server: its settings, and what they could not say. As YAML, and in words. */
import { stringify } from 'yaml';
import type { RouteConfig } from '../render/types.ts';
import { printableText } from '../text/escape.ts';

export interface CarriedConfig {
  /** The files it was made from, as a person would name them. */
  readonly from: readonly string[];
  /** By the keys of a config file, as they are written there. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly routes: readonly RouteConfig[];
  /** One line for each option that was not carried over, or not exactly. */
  readonly remarks: readonly string[];
}

/** Names that are longer end no line. */
const MAX_SHOWN = 400;

/** The remarks in the order in which they were made, as they may stand in a terminal or in a comment. */
export function shownRemarks({ remarks }: CarriedConfig): string[] {
  return remarks.map((remark) => printableText(remark, MAX_SHOWN));
}

/** The config file, with the remarks as comments for later readers. */
export function carriedYaml(config: CarriedConfig): string {
  const { from, settings, routes } = config;
  const remarks = shownRemarks(config);
  const head = [
    `Made by \`reveille init\` from ${from.map((file) => printableText(file, MAX_SHOWN)).join(' and ')}.`,
    ...(remarks.length === 0 ? [] : ['What it does not say, or not quite:', ...remarks.map((remark) => `- ${remark}`)]),
  ];
  const body = stringify(routes.length === 0 ? settings : { ...settings, routes }, { lineWidth: 0 });
  return `${head.map((line) => `# ${line}\n`).join('')}\n${body}`;
}
