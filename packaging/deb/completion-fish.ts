/** The completion for fish, from the command line as data. */
import { allCommands, type CommandNode, type CommandOption, type Value } from './command-line.ts';

const HEAD = `# fish completion for reveille(1)

# Whether the words before the cursor begin with these.
function __reveille_in
    set -l given (commandline -opc)[2..-1]
    string match --quiet -- "$argv *" "$given "
end

# Whether the words before the cursor are these.
function __reveille_at
    set -l given (commandline -opc)[2..-1]
    test "$given" = "$argv"
end

complete -c reveille -f`;

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** The flags of fish's `complete` for a value. */
function valueFlags({ completion, words }: Value): string {
  switch (completion) {
    case 'file':
      return '-r -F';
    case 'folder':
      return `-x -a '(__fish_complete_directories)'`;
    case 'words':
      return `-x -a ${quoted(words.join(' '))}`;
    case 'nothing':
      return '-x';
  }
}

/** @param condition the shell's words that say whether a line is used. */
function line(condition: string, ...parts: readonly string[]): string {
  return ['complete -c reveille -n', quoted(condition), ...parts].join(' ');
}

function optionLine(condition: string, { names, value, description }: CommandOption): string {
  const flags = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  return line(condition, ...flags, ...(value === undefined ? [] : [valueFlags(value)]), `-d ${quoted(description)}`);
}

function linesOf(node: CommandNode): string[] {
  const words = node.path.join(' ');
  // Options of the program itself stand before any command.
  const within = node.path.length === 0 ? '__reveille_at' : `__reveille_in ${words}`;
  const file = node.arguments.find(({ completion }) => completion !== 'nothing');
  return [
    ...node.commands.map((one) =>
      line(`__reveille_at ${words}`.trim(), `-a ${one.path.at(-1)!}`, `-d ${quoted(one.summary)}`),
    ),
    ...(file === undefined
      ? []
      : [line(within, file.completion === 'file' ? '-F' : `-a '(__fish_complete_directories)'`)]),
    ...node.options.map((option) => optionLine(within, option)),
  ];
}

/** @returns the text of the completion's file. */
export function fishCompletion(program: CommandNode): string {
  return `${[HEAD, ...allCommands(program).flatMap(linesOf)].join('\n')}\n`;
}
