/** Files that settings name, looked at before anything is started. Knows where each was named; not what is in them. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { errorCode } from '../text/error-text.ts';
import { showValue } from '../text/escape.ts';
import type { Path } from '../text/yaml-place.ts';
import type { Settings } from './settings.ts';
import { UsageError } from './usage-error.ts';

/** @param name as it was written. @param origin says where. @throws UsageError when there is no file. */
export function checkFile(path: string, name: string, origin: () => string): void {
  let why: string;
  try {
    if (!statSync(path).isDirectory()) return;
    why = 'a directory';
  } catch (error) {
    why = errorCode(error) ?? 'unreadable';
  }
  throw new UsageError(`${origin()}: expected a file, got ${showValue(name)} (${why})`);
}

/**
 * @param base the folder that templates and handlers are relative to. @param originOf says where a path of keys stands.
 * @throws UsageError for the first route whose template or handler is not there.
 */
export function checkRouteFiles(routes: Settings['routes'], base: string, originOf: (path: Path) => string): void {
  routes.forEach((route, index) => {
    for (const key of ['template', 'handler'] as const) {
      const name = route[key];
      if (name !== undefined) checkFile(resolve(base, name), name, () => originOf(['routes', index, key]));
    }
  });
}
