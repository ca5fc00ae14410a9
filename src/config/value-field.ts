/** Kinds of values as fields of a Zod schema. Apart from value-kind.ts, so that commands without a config file load no Zod. */
import { z } from 'zod';
import { type JsonSchema, mistakeIn, type ValueKind } from './value-kind.ts';

/** @returns a field whose issue has `expected` as its message, and `got` among its parameters. */
export function fieldOf<T>(kind: ValueKind<T> & { readonly schema?: JsonSchema }): z.ZodType<T> {
  return z
    .unknown()
    .meta({ ...kind.schema })
    .transform((value, context): T => {
      const read = kind.read(value);
      if (read !== undefined) return read;
      const { expected, got } = mistakeIn(kind, value);
      context.addIssue({ code: 'custom', message: expected, params: { got } });
      return z.NEVER;
    });
}
