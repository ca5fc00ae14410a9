/** The files made from the settings: the JSON Schema of the config file, and their part of docs/configuration.md. */
import { z } from 'zod';
import { type Setting, writtenDefault } from '../src/config/setting.ts';
import { SETTING_LIST } from '../src/config/settings.ts';

/** Paths relative to the package's folder. */
export const SCHEMA_FILE = 'deploy/reveille.schema.json';
export const PAGE_FILE = 'docs/configuration.md';

const BEGIN = '<!-- begin: made by npm run settings -->';
const END = '<!-- end -->';

/** Draft 7 is what editors know best. */
const DRAFT = 'http://json-schema.org/draft-07/schema#';

/** @returns the text with the words of its links in their place. */
export function withoutLinks(markdown: string): string {
  return markdown.replace(/\[([^\]]+)\]\([^)]+\)/g, '$1');
}

function propertyOf(setting: Setting<unknown>): Readonly<Record<string, unknown>> {
  const { kind, docs } = setting;
  const { $schema: _, ...parts } =
    kind.parts === undefined
      ? {}
      : z.toJSONSchema(kind.parts, { io: 'input', target: 'draft-7', unrepresentable: 'any' });
  // A default that depends on the machine is in no file.
  const hasValue = setting.default !== undefined && typeof setting.default !== 'function';
  const inWords = hasValue || setting.defaultText === undefined ? [] : [`Default: ${setting.defaultText}.`];
  return {
    description: withoutLinks([...docs, ...inWords].join(' ')),
    ...kind.schema,
    ...parts,
    ...(hasValue ? { default: writtenDefault(setting) } : {}),
  };
}

/** @returns the text of the JSON Schema of a config file. */
export function schemaText(): string {
  const properties = Object.fromEntries(SETTING_LIST.map((setting) => [setting.key, propertyOf(setting)]));
  const schema = {
    $schema: DRAFT,
    title: 'Config file of reveille serve',
    type: ['object', 'null'],
    additionalProperties: false,
    properties,
  };
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}

function code(text: string): string {
  return `\`${text}\``;
}

/** @returns the default in Markdown; `none` when there is no default. */
export function shownDefault(setting: Setting<unknown>): string {
  const written = writtenDefault(setting);
  if (setting.defaultText !== undefined || written === undefined) return setting.defaultText ?? 'none';
  return code(typeof written === 'string' ? written : JSON.stringify(written).replaceAll('","', '", "'));
}

function rowOf(setting: Setting<unknown>): string {
  const { key, kind, spelling, offFlag, from, docs } = setting;
  const flag = spelling === undefined ? '–' : from === 'argument' ? `the argument ${spelling}` : code(spelling);
  const more = kind.isList === true && from === undefined ? ['Repeat the flag for more.'] : [];
  const off = offFlag === undefined ? [] : [`${code(offFlag)} is ${code(`${key}: false`)}.`];
  const cells = [code(key), flag, shownDefault(setting), kind.expected, [...docs, ...more, ...off].join(' ')];
  return `| ${cells.join(' | ')} |`;
}

/** @returns the page with up-to-date settings. @throws Error when the page has no place for them. */
export function withSettings(page: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin === -1 || end < begin) throw new Error(`${PAGE_FILE} has no ${BEGIN} … ${END}`);
  const sections = [...new Set(SETTING_LIST.map(({ section }) => section))].map((section) => {
    const rows = SETTING_LIST.filter((setting) => setting.section === section).map(rowOf);
    const head = ['| key | flag | default | allowed | what it does |', '|---|---|---|---|---|'];
    return [`### ${section}`, '', ...head, ...rows].join('\n');
  });
  return `${page.slice(0, begin + BEGIN.length)}\n\n${sections.join('\n\n')}\n\n${page.slice(end)}`;
}
