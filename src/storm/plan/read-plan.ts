/**
 * Boot plans: makes a checked BootPlan from YAML or from a list of file names. Knows the shape of a plan file and where
 * each key stands in it; every mistake becomes one line that names the file, the line, the key, what was expected and
 * what was found.
 */
import { LineCounter, type Document, parseDocument } from 'yaml';
import { z } from 'zod';
import { MAX_CONTROL } from '../../protocol/encode.ts';
import { InputMistake, mistake } from '../input-mistake.ts';
import type { BootPlan, Span, Stage } from './plan.ts';
import type { Profile } from './profile.ts';
import { PROFILES } from './profiles.ts';
import { MAX_TARGET, requestTarget } from './request-target.ts';
import { parseSpan } from './quantity.ts';
import { checkTemplate, expand, hasVariables, MAX_NODES, nodeVariables } from './variables.ts';
import { expectedKey } from '../../text/closest-word.ts';
import { offsetOf, type Path, spell, valueAt } from '../../text/yaml-place.ts';

/** Far more than any plan needs. The limit keeps a mistaken file from costing memory in the parser. */
const MAX_PLAN_CHARACTERS = 2 ** 18;
/** @limit Stages of a boot plan. Shows: an error message. */
const MAX_STAGES = 64;
/** Maximum number of names in one search list. */
const MAX_NAMES = 64;
const NO_THINKING: Span = { fromMs: 0, toMs: 0 };

const EXPECTED = {
  name: 'a name of 1 to 60 printable characters',
  file: 'a file name (one with { in it needs quotes)',
  search: `a list of 1 to ${MAX_NAMES} file names (those with { in them need quotes), or the word profile`,
  profile: `a profile of ${[...PROFILES.keys()].join(', ')}`,
  via: 'tftp or http',
  think: 'a time such as 100ms, or a span such as 100ms..300ms',
  sha256: '64 hex digits in quotes',
  stages: `a list of 1 to ${MAX_STAGES} stages`,
  flag: 'true or false',
} as const;

function whole(least: number, most: number): z.ZodType<number> {
  const expected = `a whole number from ${least} to ${most}`;
  return z.int({ error: expected }).min(least, { error: expected }).max(most, { error: expected });
}

function text(pattern: RegExp, expected: string): z.ZodType<string> {
  return z.string({ error: expected }).regex(pattern, { error: expected });
}

function wrongName(value: unknown): string | undefined {
  return typeof value === 'string' ? checkTemplate(value) : EXPECTED.file;
}

const FILE = z.unknown().transform((value, context): string => {
  const wrong = wrongName(value);
  if (wrong === undefined) return value as string;
  context.addIssue({ code: 'custom', message: wrong });
  return z.NEVER;
});
const NAME = text(/^[ -~]{1,60}$/, EXPECTED.name);
const PROFILE = z.unknown().transform((value, context): Profile => {
  const profile = typeof value === 'string' ? PROFILES.get(value) : undefined;
  if (profile !== undefined) return profile;
  context.addIssue({ code: 'custom', message: EXPECTED.profile });
  return z.NEVER;
});
const SEARCH = z.unknown().transform((value, context): 'profile' | readonly string[] => {
  if (value === 'profile') return value;
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_NAMES) {
    context.addIssue({ code: 'custom', message: EXPECTED.search });
    return z.NEVER;
  }
  for (const [index, name] of value.entries()) {
    const wrong = wrongName(name);
    if (wrong !== undefined) context.addIssue({ code: 'custom', message: wrong, path: [index] });
  }
  return value as string[];
});
const THINK = z.unknown().transform((value, context): Span => {
  const span = typeof value === 'string' || value === 0 ? parseSpan(String(value)) : undefined;
  if (span !== undefined) return span;
  context.addIssue({ code: 'custom', message: EXPECTED.think });
  return z.NEVER;
});

const STAGE = z.strictObject({
  name: NAME,
  profile: PROFILE.optional(),
  via: z.enum(['tftp', 'http'], { error: EXPECTED.via }).optional(),
  file: FILE.optional(),
  search: SEARCH.optional(),
  optional: z.boolean({ error: EXPECTED.flag }).optional(),
  repeat: whole(1, 1000).optional(),
  closeAfterBlocks: whole(0, 2 ** 31).optional(),
  think: THINK.optional(),
  size: whole(0, Number.MAX_SAFE_INTEGER).optional(),
  sha256: text(/^[0-9a-f]{64}$/i, EXPECTED.sha256).optional(),
});
type StageText = z.infer<typeof STAGE>;

const PLAN = z.strictObject({
  name: NAME,
  profile: PROFILE.optional(),
  stages: z
    .array(STAGE, { error: EXPECTED.stages })
    .min(1, { error: EXPECTED.stages })
    .max(MAX_STAGES, { error: EXPECTED.stages }),
});

/** Throws the mistake for one place in the plan. @param owner path that the message names; default: `path`. */
type Refuse = (path: Path, expected: string, found: unknown, owner?: Path) => never;

/** A node whose variables have their greatest length. */
const LONGEST = nodeVariables(MAX_NODES - 1, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff');

/** @returns what is wrong with the length of a name, as the end of "expected"; undefined: nothing. */
function tooLong(template: string, profile: Profile): string | undefined {
  const name = expand(template, LONGEST);
  if (profile.via === 'http') {
    return requestTarget(name).length > MAX_TARGET ? `a name of at most ${MAX_TARGET} bytes in a URL` : undefined;
  }
  // Names and options share the bytes of a request (RFC 2347).
  const options = [...profile.options, ...(profile.probe?.options ?? [])];
  const strings = [name, 'octet', ...options.flatMap((option) => [option.name, option.value])];
  const bytes = strings.reduce((sum, string) => sum + Buffer.byteLength(string) + 1, 2);
  return bytes > MAX_CONTROL ? `a name that fits into a request of ${MAX_CONTROL} bytes` : undefined;
}

function searchOf(stage: StageText, profile: Profile, path: Path, refuse: Refuse): readonly string[] {
  const { file, search } = stage;
  if (file !== undefined && search !== undefined) refuse([...path, 'search'], 'file or search, not both', search);
  if (file !== undefined) return [file];
  if (search === undefined) refuse(path, 'a stage with file or search', stage.name);
  if (search !== 'profile') return search;
  if (profile.configSearch !== undefined) return profile.configSearch;
  const having = [...PROFILES.values()].filter(({ configSearch }) => configSearch !== undefined);
  const names = having.map(({ name }) => name).join(', ');
  return refuse([...path, 'search'], `a list: only ${names} search by themselves`, search);
}

function checkVia({ via }: StageText, profile: Profile, path: Path, refuse: Refuse): void {
  if (via === undefined || via === profile.via) return;
  const speaking = [...PROFILES.values()].filter((other) => other.via === via);
  const names = speaking.map(({ name }) => name).join(', ');
  refuse([...path, 'via'], `${profile.via}, which ${profile.name} speaks, or a profile of ${names}`, via);
}

function checkEnd(stage: StageText, profile: Profile, path: Path, refuse: Refuse): void {
  if (stage.closeAfterBlocks === undefined) return;
  if (profile.via === 'http') {
    refuse([...path, 'closeAfterBlocks'], 'none in a stage over HTTP, which has no blocks', stage.closeAfterBlocks);
  }
  for (const key of ['size', 'sha256'] as const) {
    if (stage[key] !== undefined) refuse([...path, key], 'none where closeAfterBlocks leaves the file', stage[key]);
  }
}

function toStage(stage: StageText, general: Profile | undefined, path: Path, refuse: Refuse): Stage {
  const profile = stage.profile ?? general ?? refuse(path, 'a stage with a profile, or one for the plan', stage.name);
  checkVia(stage, profile, path, refuse);
  const search = searchOf(stage, profile, path, refuse);
  for (const [index, name] of search.entries()) {
    const wrong = tooLong(name, profile);
    if (wrong === undefined) continue;
    refuse(stage.file === undefined ? [...path, 'search', index] : [...path, 'file'], wrong, name);
  }
  checkEnd(stage, profile, path, refuse);
  const { closeAfterBlocks, size, sha256 } = stage;
  return {
    name: stage.name,
    profile,
    search,
    optional: stage.optional ?? false,
    repeat: stage.repeat ?? 1,
    think: stage.think ?? NO_THINKING,
    ...(closeAfterBlocks === undefined ? {} : { closeAfterBlocks }),
    ...(size === undefined ? {} : { size }),
    ...(sha256 === undefined ? {} : { sha256: sha256.toLowerCase() }),
  };
}

function parseYaml(yaml: string, counter: LineCounter, file: string): Document {
  if (yaml.length > MAX_PLAN_CHARACTERS) {
    throw new InputMistake(`${file}: expected at most ${MAX_PLAN_CHARACTERS} characters, got ${yaml.length}`);
  }
  let document: Document;
  try {
    document = parseDocument(yaml, { lineCounter: counter, prettyErrors: false });
  } catch (cause) {
    // The parser throws only when it runs out of stack on a file that is nested too deeply.
    throw new InputMistake(`${file}: expected YAML, got a file too deeply nested`, { cause });
  }
  const error = document.errors[0] ?? document.warnings[0];
  if (error !== undefined) {
    const { line, col } = counter.linePos(error.pos[0]);
    const message = error.message.split('\n', 1)[0]!;
    throw new InputMistake(`${file}:${line}:${col}: expected YAML, got a mistake: ${message}`);
  }
  return document;
}

function toPlain(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: MAX_STAGES });
  } catch (cause) {
    throw new InputMistake(`${file}: expected aliases of anchors before them, at most ${MAX_STAGES}`, { cause });
  }
}

/** @returns the issue that stands first in the file, as a place and a sentence. */
function firstMistake(
  issues: readonly z.core.$ZodIssue[],
  document: Document,
): { path: Path; expected: string; unknownKey: boolean } {
  const mistakes = issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys') {
      // For a missing `name` the schema's own message fits; for a value that is no map it has no message of ours.
      const expected = issue.code === 'invalid_type' && issue.expected === 'object' ? 'a map of keys' : issue.message;
      return [{ path: issue.path, expected, unknownKey: false }];
    }
    const known = Object.keys(issue.path.length === 0 ? PLAN.shape : STAGE.shape);
    return issue.keys.map((key) => ({
      path: [...issue.path, key],
      expected: expectedKey(key, known),
      unknownKey: true,
    }));
  });
  return mistakes.toSorted((a, b) => offsetOf(document, a.path) - offsetOf(document, b.path))[0]!;
}

function expectDistinct(stages: readonly { readonly name: string }[], refuse: Refuse): void {
  const seen = new Set<string>();
  for (const [index, { name }] of stages.entries()) {
    if (seen.has(name)) refuse(['stages', index, 'name'], 'a name that no stage before it has', name);
    seen.add(name);
  }
}

/**
 * Reads a plan.
 *
 * @param yaml text of the plan. @param file its name in messages.
 * @throws InputMistake with one line for the first mistake.
 */
export function readPlan(yaml: string, file: string): BootPlan {
  const counter = new LineCounter();
  const document = parseYaml(yaml, counter, file);
  const plain = toPlain(document, file);
  const refuse: Refuse = (path, expected, found, owner = path) => {
    const { line, col } = counter.linePos(offsetOf(document, path));
    throw mistake(`${file}:${Math.max(1, line)}:${Math.max(1, col)}: ${spell(owner, 'plan')}`, expected, found);
  };
  const checked = PLAN.safeParse(plain);
  if (!checked.success) {
    const { path, expected, unknownKey } = firstMistake(checked.error.issues, document);
    if (unknownKey) return refuse(path, expected, path.at(-1), path.slice(0, -1));
    return refuse(path, expected, valueAt(plain, path));
  }
  const { name, profile, stages } = checked.data;
  expectDistinct(stages, refuse);
  return { name, stages: stages.map((stage, index) => toStage(stage, profile, ['stages', index], refuse)) };
}

export interface FilesPlan {
  /** A name in PROFILES. */
  readonly profile: string;
  /** Templates of file names; one stage each, in this order. */
  readonly files: readonly string[];
}

/** Makes the plan of a simple command line. @throws InputMistake. */
export function planFromFiles({ profile, files }: FilesPlan): BootPlan {
  const found = PROFILES.get(profile);
  if (found === undefined) throw mistake('--profile', EXPECTED.profile, profile);
  if (files.length === 0 || files.length > MAX_STAGES) {
    throw new InputMistake(`--file: expected 1 to ${MAX_STAGES} file names, got ${files.length}`);
  }
  const refuse: Refuse = (_path, expected, value) => {
    throw mistake('--file', expected, value);
  };
  const times = new Map<string, number>();
  const stages = files.map((file, index) => {
    const wrong = checkTemplate(file);
    if (wrong !== undefined) refuse([], wrong, file);
    const time = (times.get(file) ?? 0) + 1;
    times.set(file, time);
    return toStage({ name: time === 1 ? file : `${file} (${time})`, file }, found, ['files', index], refuse);
  });
  return { name: 'files', stages };
}

/** A file that every node requests by the same name. */
export interface PlannedFile {
  readonly stage: string;
  readonly name: string;
  /** True when a node boots without the file: the stage is optional, or there are other names. */
  readonly dispensable: boolean;
}

/** @returns the files whose names contain no variables, in the order of the plan; each name appears once in a stage. */
export function plannedFiles(plan: BootPlan): PlannedFile[] {
  return plan.stages.flatMap(({ name: stage, search, optional }) =>
    [...new Set(search)]
      .filter((name) => !hasVariables(name))
      .map((name) => ({ stage, name, dispensable: optional || search.length > 1 })),
  );
}
