/** The completion for bash, from the command line as data. Needs nothing but bash: no package of helper functions. */
import { allCommands, type CommandNode, type Value } from './command-line.ts';

const HEAD = `# bash completion for reveille(1)

_reveille() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command= second= kind= words=
  COMPREPLY=()
  # Readline makes three words of --option=value.
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if ((COMP_CWORD > 1)); then command=\${COMP_WORDS[1]}; fi
  if ((COMP_CWORD > 2)); then second=\${COMP_WORDS[2]}; fi`;

const TAIL = `  case $kind in
    words) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur") ;;
    file | folder)
      compopt -o filenames 2> /dev/null
      if [[ $kind == folder ]]; then
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
      else
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      fi
      ;;
  esac
}

complete -F _reveille reveille
`;

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The shell's words that set what is completed. */
function setKind({ completion, words }: Pick<Value, 'completion' | 'words'>): string {
  return completion === 'words' ? `kind=words words=${quoted(words.join(' '))}` : `kind=${completion}`;
}

function anyOf(list: readonly string[]): string {
  return setKind({ completion: 'words', words: list });
}

function branch(pattern: string, action: string): string {
  return `${pattern}) ${action} ;;`;
}

/** Values of options: each branch is for the options of one command whose values are completed in the same way. */
function valueBranches({ path, options }: CommandNode): string[] {
  const patterns = new Map<string, string[]>();
  for (const { names, value } of options) {
    if (value === undefined) continue;
    const action = setKind(value);
    patterns.set(action, [
      ...(patterns.get(action) ?? []),
      ...names.map((name) => quoted(`${path.join(' ')} ${name}`)),
    ]);
  }
  return [...patterns].map(([action, list]) => branch(list.join(' | '), action));
}

/** Completion of words that are no options: commands, or files where an argument of the command is one. */
function argumentBranch(node: CommandNode): string {
  const file = node.arguments.find(({ completion }) => completion !== 'nothing');
  if (node.commands.length > 0) return anyOf(node.commands.map(({ path }) => path.at(-1)!));
  return file === undefined ? 'kind=nothing' : setKind(file);
}

function cases(subject: string, branches: readonly string[], indent: string): string[] {
  return [`${indent}case ${subject} in`, ...branches.map((one) => `${indent}  ${one}`), `${indent}esac`];
}

/** @returns the text of the completion's file. */
export function bashCompletion(program: CommandNode): string {
  const nodes = allCommands(program);
  const nested = nodes.filter(({ path }) => path.length > 1);
  const names = (node: CommandNode): string => quoted(node.path.join(' '));
  const lines = [
    HEAD,
    ...cases(
      '"$command $second"',
      nested.map((node) => branch(names(node), `command=${names(node)}`)),
      '  ',
    ),
    ...cases('"$command $prev"', nodes.flatMap(valueBranches), '  '),
    '  if [[ -z $kind && $cur == -* ]]; then',
    ...cases(
      '$command',
      nodes.map((node) => branch(names(node), anyOf(node.options.flatMap((option) => option.names)))),
      '    ',
    ),
    '  elif [[ -z $kind ]]; then',
    ...cases(
      '$command',
      nodes.map((node) => branch(names(node), argumentBranch(node))),
      '    ',
    ),
    '  fi',
    TAIL,
  ];
  return lines.join('\n');
}
