/**
 * Renders Liquid templates on a render thread: parses once, limits time, memory and output. Reads no file outside the
 * base folder. Knows no routes and no requests.
 */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { Context, type Emitter, Liquid, type Template, toValue, toValueSync } from 'liquidjs';
import type { Limits } from './jobs.ts';
import { TEMPLATE_CHARACTERS, TEMPLATE_FILES, TEMPLATE_MEMORY_FACTOR } from './limits.ts';

/** Thrown when a template's output exceeds its route's limit. */
export class TooLarge extends Error {}

function textOf(value: unknown): string {
  const plain: unknown = toValue(value);
  if (typeof plain === 'string') return plain;
  if (plain === undefined || plain === null) return '';
  if (Array.isArray(plain)) return plain.map(textOf).join('');
  return typeof plain === 'number' || typeof plain === 'boolean' ? String(plain) : `[${typeof plain}]`;
}

/** Output that is counted as it grows. */
class CountedOutput implements Emitter {
  buffer = '';
  readonly #count: (characters: number) => void;

  constructor(count: (characters: number) => void) {
    this.#count = count;
  }

  write(value: unknown): void {
    const text = textOf(value);
    this.#count(text.length);
    this.buffer += text;
  }
}

function isInside(base: string, path: string): boolean {
  const way = relative(base, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

export class Templates {
  readonly #base: string;
  readonly #liquid: Liquid;

  /** @param base absolute path. */
  constructor(base: string) {
    this.#base = base;
    this.#liquid = new Liquid({
      root: base,
      relativeReference: false,
      cache: TEMPLATE_FILES,
      strictFilters: true,
      // A config with a gap is worse than no config; only `if` and `default` may name missing variables.
      strictVariables: true,
      lenientIf: true,
      ownPropertyOnly: true,
      parseLimit: TEMPLATE_CHARACTERS,
      fs: {
        sep,
        dirname,
        resolve: (folder, file) => join(folder, file),
        containsSync: (_, path) => this.#isInside(path),
        contains: async (_, path) => this.#isInside(path),
        existsSync: (path) => existsSync(path),
        exists: async (path) => existsSync(path),
        readFileSync: (path) => readFileSync(path, 'utf8'),
        readFile: async (path) => readFileSync(path, 'utf8'),
      },
    });
    // Output held back by a tag such as capture counts as well; liquidjs does not count it.
    const { renderer } = this.#liquid;
    const render = renderer.renderTemplates.bind(renderer);
    renderer.renderTemplates = (templates, context, output): ReturnType<typeof render> =>
      render(templates, context, output ?? new CountedOutput((characters) => context.memoryLimit.use(characters)));
  }

  /** Parses a template and the partials it names. @throws Error with a one-line message. */
  check(file: string): void {
    try {
      const templates = this.#parse(file);
      this.#liquid.analyzeSync(templates, { partials: true });
    } catch (error) {
      throw new Error(this.#oneLine(error), { cause: error });
    }
  }

  /** @throws TooLarge, or Error with a one-line message. */
  render(file: string, scope: object, { timeoutMs, maxBytes }: Limits): string {
    const context = new Context(
      scope,
      this.#liquid.options,
      { sync: true, renderLimit: timeoutMs, memoryLimit: maxBytes * TEMPLATE_MEMORY_FACTOR },
      { liquid: this.#liquid },
    );
    let length = 0;
    const output = new CountedOutput((characters) => {
      length += characters;
      if (length > maxBytes) throw new TooLarge(`returned more than ${maxBytes} bytes`);
    });
    try {
      toValueSync(this.#liquid.renderer.renderTemplates(this.#parse(file), context, output));
    } catch (error) {
      if (length > maxBytes) throw new TooLarge(`returned more than ${maxBytes} bytes`, { cause: error });
      throw new Error(this.#oneLine(error), { cause: error });
    }
    if (length * 3 > maxBytes && Buffer.byteLength(output.buffer) > maxBytes) {
      throw new TooLarge(`returned more than ${maxBytes} bytes`);
    }
    return output.buffer;
  }

  #parse(file: string): Template[] {
    return this.#liquid.parseFileSync(file);
  }

  /** Returns true when the path leads inside the base folder, symbolic links resolved. A missing file is not inside. */
  #isInside(path: string): boolean {
    if (!isInside(this.#base, path)) return false;
    try {
      return isInside(realpathSync(this.#base), realpathSync(path));
    } catch {
      return false;
    }
  }

  #oneLine(error: unknown): string {
    const message = error instanceof Error ? error.message : String(error);
    return message.split('\n')[0]!.replaceAll(`${this.#base}${sep}`, '').slice(0, 500);
  }
}
