/** Declares a setting: everything that code, help, config file, schema and documents say about it. Knows no setting. */
import type { SettingKind, Written } from './value-kind.ts';

interface Described {
  /** Key in the config file, where it differs from the name in code, which ends in its unit. */
  readonly key?: string;
  /** `argument`: an argument of the command. `file`: in the config file alone. Default: a flag, and the config file. */
  readonly from?: 'argument' | 'file';
  /** The default in words, where its value alone does not say enough. */
  readonly defaultText?: string;
  /** True when a change of the config file applies without a restart. */
  readonly isLive?: true;
  /** One line for `--help`: no capital, no period. */
  readonly help: string;
  /** Sentences for docs/configuration.md, in Markdown; links are relative to docs. Default: the help as a sentence. */
  readonly docs?: readonly string[];
}

interface Declaration<T> extends Described {
  readonly kind: SettingKind<NonNullable<T>>;
  readonly default?: T | (() => T);
}

/** @template T type of the value; includes undefined when the setting has no default. */
export interface Setting<T> extends Declaration<T> {
  /** Name in code. */
  readonly name: string;
  /** Heading above it in help and documents. */
  readonly section: string;
  readonly key: string;
  readonly docs: readonly string[];
  /** `--drain` for a flag, `ROOT` for an argument; undefined for neither. */
  readonly spelling: string | undefined;
  /** The flag that turns the setting off; undefined: there is none. */
  readonly offFlag: string | undefined;
}

type Completed<Declared> = {
  readonly [K in keyof Declared]: Declared[K] extends Declaration<infer T> ? Setting<T> : never;
};

/** Declares a setting with a default: a value, or a function when it depends on the machine. */
export function setting<T>(
  declared: Described & { readonly kind: SettingKind<T>; readonly default: NoInfer<T | (() => T)> },
): Declaration<T>;
/** Declares a setting that is undefined unless it is given. */
export function setting<T>(declared: Described & { readonly kind: SettingKind<T> }): Declaration<T | undefined>;
export function setting<T>(declared: Declaration<T>): Declaration<T> {
  return declared;
}

function spellingOf({ from }: Described, key: string): string | undefined {
  if (from === 'file') return undefined;
  return from === 'argument' ? key.toUpperCase() : `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Completes settings that stand under one heading. @param declared settings by their names in code. */
export function section<Declared extends Readonly<Record<string, Declaration<unknown>>>>(
  title: string,
  declared: Declared,
): Completed<Declared> {
  const settings = Object.entries(declared).map(([name, one]): [string, Setting<unknown>] => {
    const { key = name, kind, help, docs = [`${help[0]!.toUpperCase()}${help.slice(1)}.`] } = one;
    const spelling = spellingOf(one, key);
    const canBeOff = spelling?.startsWith('--') === true && kind.read(false) === false && one.default !== false;
    const offFlag = canBeOff ? spelling.replace('--', '--no-') : undefined;
    return [name, { ...one, name, section: title, key, docs, spelling, offFlag }];
  });
  return Object.fromEntries(settings) as Completed<Declared>;
}

export function defaultOf<T>({ default: value }: Setting<T>): T {
  return typeof value === 'function' ? (value as () => T)() : (value as T);
}

/** The default as one would write it in a config file; undefined when there is none. */
export function writtenDefault(one: Setting<unknown>): Written | undefined {
  const value = defaultOf(one);
  return value === undefined || value === null ? undefined : (one.kind.write?.(value) ?? (value as Written));
}
