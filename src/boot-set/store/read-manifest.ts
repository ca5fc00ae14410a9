/** Parses the manifest of a boot set from text that another tool may have written. Knows its schema, no files. */
import { z } from 'zod';
import { schemaMistake } from '../../text/schema-mistake.ts';
import { isDigest, MEDIA_TYPE } from './layout.ts';
import { type BootSet, checkFileName, MAX_FILES, KERNEL_ARGUMENTS, TITLE } from './manifest.ts';
import { quote } from './store-error.ts';

const DIGEST = z
  .string()
  .refine((text) => text.startsWith('sha256:') && isDigest(text.slice(7)), 'sha256: and 64 hex digits')
  .transform((text) => text.slice(7));

const MANIFEST = z.object({
  schemaVersion: z.literal(2),
  layers: z
    .array(
      z.object({
        mediaType: z.literal(MEDIA_TYPE.file),
        digest: DIGEST,
        size: z.int().nonnegative(),
        annotations: z.object({ [TITLE]: z.string().min(1) }).catchall(z.string()),
      }),
    )
    .min(1)
    .max(MAX_FILES),
  annotations: z.record(z.string(), z.string()).optional(),
});

/** @returns the set, or why the text is not the manifest of one. */
export function parseManifest(text: string): BootSet | string {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return 'not JSON';
  }
  const parsed = MANIFEST.safeParse(json);
  if (!parsed.success) return schemaMistake(parsed.error, json, 'the manifest');
  const { layers, annotations = {} } = parsed.data;
  const kernelArguments = annotations[KERNEL_ARGUMENTS];
  const files = layers.map(({ digest, size, annotations: { [TITLE]: name } }) => ({ name, digest, size }));
  return { files, ...(kernelArguments === undefined ? {} : { kernelArguments }) };
}

/** @returns what is wrong with the names of a set's files, as the rest of an error message; undefined when all are valid. */
export function checkFileNames({ files }: BootSet): string | undefined {
  const names = new Set<string>();
  for (const { name } of files) {
    const problem = names.has(name) ? 'expected each name once, got it twice' : checkFileName(name);
    if (problem !== undefined) return `file ${quote(name)}: ${problem}`;
    names.add(name);
  }
  return undefined;
}
