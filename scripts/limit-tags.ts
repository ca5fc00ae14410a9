/**
 * Reads the `@limit` tags of the source: the TypeScript compiler finds the declarations that carry one and their values.
 * The compiler's API is marked unstable; package.json pins the compiler's exact version.
 *
 *   @limit Requests that wait. Setting: `queue`. Shows: `reveille_requests_ignored_total{reason="queueFull"}`.
 *
 * A tag says what the number bounds, then the setting that changes it and what an operator sees when it is reached; both
 * of these may be missing. The unit is in the name of the constant or key: `…Ms`, `…_BYTES`, `…_MIB`, `…_PERCENT`.
 */
import { API } from 'typescript/unstable/sync';
import {
  getTextOfJSDocComment,
  isAsExpression,
  isBinaryExpression,
  isIdentifier,
  isJSDoc,
  isNumericLiteral,
  isObjectLiteralExpression,
  isParenthesizedExpression,
  isPropertyAssignment,
  isVariableStatement,
  type Expression,
  type Node,
  type SourceFile,
  SyntaxKind,
} from 'typescript/unstable/ast';
import { createVirtualFileSystem } from 'typescript/unstable/fs';

/** A number, or the numbers of an object by key. */
export type LimitValue = number | { readonly [key: string]: LimitValue };

export interface Limit {
  /** Path of the declaring file, from the root of the repository. */
  readonly path: string;
  /** Name of the constant, or of the key in a constant's object. */
  readonly name: string;
  readonly value: LimitValue;
  readonly bounds: string;
  readonly setting: string | undefined;
  readonly shows: string | undefined;
}

const OPERATIONS: Readonly<Partial<Record<SyntaxKind, (a: number, b: number) => number>>> = {
  [SyntaxKind.PlusToken]: (a, b) => a + b,
  [SyntaxKind.MinusToken]: (a, b) => a - b,
  [SyntaxKind.AsteriskToken]: (a, b) => a * b,
  [SyntaxKind.AsteriskAsteriskToken]: (a, b) => a ** b,
};

/** @throws Error for anything that is not arithmetic on numbers, or an object of such values. */
function evaluate(node: Expression): LimitValue {
  if (isNumericLiteral(node)) return Number(node.text);
  if (isParenthesizedExpression(node) || isAsExpression(node)) return evaluate(node.expression);
  if (isBinaryExpression(node)) {
    const [left, right] = [evaluate(node.left), evaluate(node.right)];
    const operation = OPERATIONS[node.operatorToken.kind];
    if (operation !== undefined && typeof left === 'number' && typeof right === 'number') return operation(left, right);
  }
  if (isObjectLiteralExpression(node)) {
    return Object.fromEntries(
      node.properties.map((property) => {
        if (!isPropertyAssignment(property)) throw new Error(`not a key with a value: ${property.getText()}`);
        return [property.name.getText(), evaluate(property.initializer)];
      }),
    );
  }
  throw new Error(`not a number: ${node.getText()}`);
}

/** Name and value of a declaration that may carry a tag. */
function declarationOf(node: Node): Pick<Limit, 'name' | 'value'> {
  if (isPropertyAssignment(node)) return { name: node.name.getText(), value: evaluate(node.initializer) };
  const [declaration, ...others] = isVariableStatement(node) ? node.declarationList.declarations : [];
  if (declaration?.initializer === undefined || others.length > 0 || !isIdentifier(declaration.name)) {
    throw new Error('not the declaration of one constant or key');
  }
  return { name: declaration.name.text, value: evaluate(declaration.initializer) };
}

function wordsOf(comment: string): Pick<Limit, 'bounds' | 'setting' | 'shows'> {
  const text = comment.replaceAll(/\s+/g, ' ').trim();
  const [, bounds, setting, shows] = /^(.+?)\.(?: Setting: (.+?)\.)?(?: Shows: (.+)\.)?$/.exec(text) ?? [];
  if (bounds === undefined) throw new Error(`expected "@limit WHAT. Setting: SETTING. Shows: SIGN.", got "${text}"`);
  return { bounds, setting, shows };
}

function* limitsOf(node: Node, path: string, source: SourceFile): Iterable<Limit> {
  const tags = (node.jsDoc ?? []).filter(isJSDoc).flatMap((comment) => [...(comment.tags ?? [])]);
  for (const tag of tags.filter(({ tagName }) => tagName.text === 'limit')) {
    try {
      yield { path, ...declarationOf(node), ...wordsOf(getTextOfJSDocComment(tag.comment) ?? '') };
    } catch (error) {
      const line = source.text.slice(0, tag.pos).split('\n').length;
      throw new Error(`${path}:${line}: @limit: ${(error as Error).message}`, { cause: error });
    }
  }
  const children: Node[] = [];
  node.forEachChild((child) => void children.push(child));
  for (const child of children) yield* limitsOf(child, path, source);
}

/**
 * @param files source text by path from the root of the repository. @returns the tagged limits, in the order of the files.
 * @throws Error for a tag without words, or on something that is not a number; the message begins with file and line.
 */
export function limitsIn(files: Readonly<Record<string, string>>): Limit[] {
  // Nothing is resolved or checked: the compiler parses these files and no others.
  const compilerOptions = { noResolve: true, noLib: true, types: [], allowImportingTsExtensions: true, noEmit: true };
  const texts = Object.fromEntries(Object.entries(files).map(([path, text]) => [`/${path}`, text]));
  const project = JSON.stringify({ compilerOptions, files: Object.keys(texts) });
  const api = new API({ cwd: '/', fs: createVirtualFileSystem({ ...texts, '/tsconfig.json': project }) });
  try {
    const { program } = api.updateSnapshot({ openProjects: ['/tsconfig.json'] }).getProjects()[0]!;
    return Object.entries(files).flatMap(([path, text]) => {
      const source = program.getSourceFile(`/${path}`)!;
      const limits = [...limitsOf(source, path, source)];
      const written = text.match(/(?:\/\*\*|^\s*\*) @limit\b/gm)?.length ?? 0;
      if (written !== limits.length)
        throw new Error(`${path}: ${written - limits.length} @limit tags at no declaration`);
      return limits;
    });
  } finally {
    api.close();
  }
}
