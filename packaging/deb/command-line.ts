/** The command line as data, read from the commands themselves: what man pages and completions are generated from. */
import type { EventEmitter } from 'node:events';
import { type Argument, Command, type Option } from 'commander';
import { addCommands } from '../../src/cli/run.ts';
import type { FlagParser } from '../../src/config/flag.ts';
import { Interrupts } from '../../src/daemon/interrupts.ts';

/** Value of an option or an argument. */
export interface Value {
  /** Its name in help, such as `FILE`. */
  readonly placeholder: string;
  readonly completion: 'file' | 'folder' | 'words' | 'nothing';
  /** The words of which the value is one; empty unless `completion` is `words`. */
  readonly words: readonly string[];
}

export interface CommandOption {
  /** Such as `-o` and `--output`. */
  readonly names: readonly string[];
  /** undefined: the option has no value. */
  readonly value: Value | undefined;
  readonly isRepeatable: boolean;
  /** Heading above it in help; undefined: the common one. */
  readonly heading: string | undefined;
  /** One line, with its default. */
  readonly description: string;
}

export interface CommandArgument extends Value {
  readonly isRequired: boolean;
  readonly isVariadic: boolean;
  readonly description: string;
}

export interface CommandNode {
  /** The words that call it, without `reveille`: empty for the program, `['store', 'rebuild']` for a nested one. */
  readonly path: readonly string[];
  /** A few words: no capital, no period. */
  readonly summary: string;
  /** Sentences. */
  readonly description: string;
  readonly options: readonly CommandOption[];
  readonly arguments: readonly CommandArgument[];
  readonly commands: readonly CommandNode[];
  /** The text below the help. */
  readonly after: string;
}

const FOLDERS = new Set(['DIR', 'ROOT']);
const FILES = new Set(['FILE', 'PATH']);

function namedValue(placeholder: string, words: readonly string[] = []): Value {
  if (words.length > 0) return { placeholder, completion: 'words', words };
  const completion = FOLDERS.has(placeholder) ? 'folder' : FILES.has(placeholder) ? 'file' : 'nothing';
  return { placeholder, completion, words: [] };
}

/** The words that the option's parser accepts, where it is made of words. */
function wordsOf({ parseArg }: Option): readonly string[] {
  const { kind } = (parseArg ?? {}) as Partial<FlagParser<unknown>>;
  return kind !== undefined && 'words' in kind ? (kind.words as readonly string[]) : [];
}

function optionOf(command: Command, option: Option): CommandOption {
  const placeholder = /[<[](.+)[>\]]$/.exec(option.flags)?.[1];
  return {
    names: [option.short, option.long].filter((name) => name !== undefined && name !== null),
    value: placeholder === undefined ? undefined : namedValue(placeholder, wordsOf(option)),
    isRepeatable: /\brepeatable\b/.test(option.description),
    heading: option.helpGroupHeading?.replace(/:$/, ''),
    // The value on the machine that builds says nothing about others.
    description: command
      .createHelp()
      .optionDescription(option)
      .replace(/; here [^)]*\)$/, ')'),
  };
}

function argumentOf(command: Command, argument: Argument): CommandArgument {
  return {
    ...namedValue(argument.name()),
    isRequired: argument.required,
    isVariadic: argument.variadic,
    description: command.createHelp().argumentDescription(argument),
  };
}

/** The text that the command's addHelpText('after', …) adds; commander sends it to the listeners of this event. */
function textAfterHelp(command: Command): string {
  const parts: string[] = [];
  // Its type does not say that it is an emitter, which commander documents.
  (command as unknown as EventEmitter).emit('afterHelp', {
    error: false,
    command,
    write: (text: string) => parts.push(text),
  });
  return parts.join('').trim();
}

function nodeOf(command: Command, path: readonly string[]): CommandNode {
  const help = command.createHelp();
  return {
    path,
    summary: command.summary(),
    description: command.description(),
    options: help.visibleOptions(command).map((option) => optionOf(command, option)),
    arguments: command.registeredArguments.map((argument) => argumentOf(command, argument)),
    commands: command.commands.map((one) => nodeOf(one, [...path, one.name()])),
    after: textAfterHelp(command),
  };
}

/** @returns the program `reveille` with all its commands. */
export async function commandLine(version: string): Promise<CommandNode> {
  const program = new Command('reveille');
  await addCommands(program, { interrupts: new Interrupts(), stderr: process.stderr, version }, () => {});
  return nodeOf(program, []);
}

/** @returns the node and all nodes below it, parents first. */
export function allCommands(node: CommandNode): CommandNode[] {
  return [node, ...node.commands.flatMap(allCommands)];
}
