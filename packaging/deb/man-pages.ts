/** Man pages of the commands, from the command line as data. */
import { allCommands, type CommandArgument, type CommandNode, type CommandOption } from './command-line.ts';
import { bold, example, italic, plain, prose, section, subheading, tagged, title } from './roff.ts';

/** A file of man pages: `reveille-serve.1` and its text. */
export interface ManPage {
  readonly name: string;
  readonly text: string;
}

/** Version and day that the pages name. */
export interface Edition {
  readonly version: string;
  /** Day of the release, YYYY-MM-DD. */
  readonly day: string;
}

export function pageName(path: readonly string[]): string {
  return ['reveille', ...path].join('-');
}

export function reference(name: string, chapter: number): string {
  return `${bold(name)}(${chapter})`;
}

function shownArgument({ placeholder, isRequired, isVariadic }: CommandArgument): string {
  const name = `${italic(placeholder)}${isVariadic ? ' ...' : ''}`;
  return isRequired ? name : `[${name}]`;
}

function synopsis({ path, options, arguments: args, commands }: CommandNode): string {
  const parts = [
    bold(['reveille', ...path].join(' ')),
    ...(options.length > 0 ? [`[${italic('options')}]`] : []),
    ...args.map(shownArgument),
    ...(commands.length > 0 ? [italic('command'), `[${italic('arguments')}]`] : []),
  ];
  return parts.join(' ');
}

function optionEntry({ names, value, description }: CommandOption): string {
  const tag = names.map(bold).join(', ');
  return tagged(value === undefined ? tag : `${tag} ${italic(value.placeholder)}`, prose(description));
}

/** The options under their headings; those without one come first. */
function optionParts(options: readonly CommandOption[]): string[] {
  const headings = [...new Set([undefined, ...options.map(({ heading }) => heading)])];
  return headings.flatMap((heading) => {
    const entries = options.filter((option) => option.heading === heading).map(optionEntry);
    return heading === undefined ? entries : [subheading(heading), ...entries];
  });
}

interface AfterHelp {
  readonly notes: readonly string[];
  readonly examples: readonly string[];
  /** Exit codes and their meaning. */
  readonly codes: readonly (readonly [string, string])[];
}

/** The meanings of exit codes: one on each line, or all in one sentence, separated by semicolons. */
function exitCodes(text: string): (readonly [string, string])[] {
  const lines = text.includes('\n') ? text.split('\n') : text.replace(/\.$/, '').split('; ');
  return lines
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const match = /^\s*(\d)\s+(.+)$/.exec(line);
      if (match === null) throw new Error(`Exit codes: expected a digit and its meaning, got "${line}"`);
      return [match[1]!, match[2]!] as const;
    });
}

/** Sorts the paragraphs below a help into examples, exit codes and notes. */
export function readAfterHelp(text: string): AfterHelp {
  const [others, codes = ''] = text.split(/^Exit codes:/m) as [string, string?];
  const paragraphs = others.split(/\n{2,}/).filter((paragraph) => paragraph.trim() !== '');
  const isExamples = (paragraph: string): boolean => paragraph.startsWith('Examples:\n');
  return {
    notes: paragraphs.filter((paragraph) => !isExamples(paragraph)).map((one) => one.trim().replaceAll('\n', ' ')),
    examples: paragraphs.filter(isExamples).flatMap((one) =>
      one
        .trim()
        .split('\n')
        .slice(1)
        .map((line) => line.trim()),
    ),
    codes: exitCodes(codes),
  };
}

function pageOf(node: CommandNode, edition: Edition): ManPage {
  const { path, summary, description, commands, after } = node;
  const name = pageName(path);
  const { notes, examples, codes } = readAfterHelp(after);
  const purpose = path.length === 0 ? 'TFTP server that boots whole racks at once' : summary;
  const sentence = description === '' ? `${purpose[0]!.toUpperCase()}${purpose.slice(1)}.` : description;
  const listed = commands.map((one) => tagged(reference(pageName(one.path), 1), prose(one.summary)));
  const statuses = codes.map(([code, meaning]) => tagged(bold(code), prose(meaning)));
  const also = path.length === 0 ? commands.map((one) => pageName(one.path)) : [pageName(path.slice(0, -1))];
  const lines = [
    title(name, 1, edition.day, edition.version),
    ...section('Name', [`${plain(name)} \\- ${prose(purpose)}`]),
    ...section('Synopsis', [synopsis(node)]),
    ...section('Description', [sentence, ...notes].map(prose)),
    ...section('Commands', listed),
    ...section(
      'Arguments',
      node.arguments
        .filter((argument) => argument.description !== '')
        .map((argument) => tagged(italic(argument.placeholder), prose(argument.description))),
    ),
    ...section('Options', optionParts(node.options)),
    ...section(
      'Exit status',
      statuses.length > 0 ? statuses : [`The exit codes are those of ${reference('reveille', 1)}.`],
    ),
    ...section('Examples', examples.length > 0 ? [example(examples)] : []),
    ...section('See also', [[...also.map((one) => reference(one, 1)), reference('reveille.yaml', 5)].join(', ')]),
  ];
  return { name: `${name}.1`, text: `${lines.join('\n')}\n` };
}

/** @returns `reveille.1`, and a page for each command. */
export function commandPages(program: CommandNode, edition: Edition): ManPage[] {
  return allCommands(program).map((node) => pageOf(node, edition));
}
