/** The completion for zsh, from the command line as data: a function for each command, in the words of `_arguments`. */
import { allCommands, type CommandArgument, type CommandNode, type CommandOption, type Value } from './command-line.ts';

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Escapes what separates the parts of a specification. */
function escaped(text: string): string {
  return text.replaceAll(/[\\:[\]]/g, '\\$&');
}

function functionName(path: readonly string[]): string {
  return ['_reveille', ...path].join('_');
}

/** Name of a value and the action that completes it. */
function valueSpec({ placeholder, completion, words }: Value): string {
  const actions = { file: '_files', folder: '_files -/', words: `(${words.join(' ')})`, nothing: ' ' };
  return `${escaped(placeholder)}:${actions[completion]}`;
}

function optionSpecs({ names, value, isRepeatable, description }: CommandOption): string[] {
  const text = `[${escaped(description)}]`;
  // An option is not offered twice, under none of its names.
  const others = isRepeatable ? '*' : names.length > 1 ? `(${names.join(' ')})` : '';
  return names.map((name) => {
    const isLong = name.startsWith('--');
    const rest = value === undefined ? text : `${isLong ? '=' : '+'}${text}:${valueSpec(value)}`;
    return quoted(`${others}${name}${rest}`);
  });
}

function argumentSpec(argument: CommandArgument, index: number): string {
  return quoted(`${argument.isVariadic ? '*' : index + 1}:${valueSpec(argument)}`);
}

function functionOf(node: CommandNode): string {
  const specs = node.options.flatMap(optionSpecs);
  const lines =
    node.commands.length === 0
      ? [
          `  _arguments -s : \\`,
          ...[...specs, ...node.arguments.map(argumentSpec)].map((spec) => `    ${spec} \\`),
          '    && return',
        ]
      : [
          '  local curcontext=$curcontext state state_descr line',
          '  typeset -A opt_args',
          '  local -a commands=(',
          ...node.commands.map((one) => `    ${quoted(`${one.path.at(-1)!}:${escaped(one.summary)}`)}`),
          '  )',
          '  _arguments -C : \\',
          ...specs.map((spec) => `    ${spec} \\`),
          `    '1: :->command' '*:: :->arguments' && return`,
          '  case $state in',
          `    command) _describe -t commands 'command' commands ;;`,
          '    arguments)',
          `      case $words[1] in`,
          ...node.commands.map((one) => `        ${one.path.at(-1)!}) ${functionName(one.path)} ;;`),
          '      esac',
          '      ;;',
          '  esac',
        ];
  return [`${functionName(node.path)}() {`, ...lines, '}'].join('\n');
}

/** @returns the text of the completion's file. */
export function zshCompletion(program: CommandNode): string {
  const functions = allCommands(program).map(functionOf);
  return `${['#compdef reveille', ...functions, '_reveille "$@"'].join('\n\n')}\n`;
}
