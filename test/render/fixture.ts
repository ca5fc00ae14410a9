/** Routes on real threads over files in a temporary folder; their warnings are recorded. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Answer, BootRequest } from '../../src/content/types.ts';
import { MonotonicClock } from '../../src/engine/clock.ts';
import { attachShared } from '../../src/bytes/shared-bytes.ts';
import { loadRoutes, type Routes, type RoutesParts } from '../../src/render/routes.ts';
import type { RenderConfig, RouteConfig } from '../../src/render/types.ts';
import { temporaryFolder } from '../content/fixture.ts';

/** A thread loads only JavaScript, so this is the built worker. */
const WORKER = new URL('../../dist/render/worker.js', import.meta.url);

export class Desk {
  readonly folder: string;
  readonly warnings: string[] = [];
  routes!: Routes;

  /** @param onFinished registers the removal of the folder; by default it runs after the test. */
  constructor(onFinished?: (clear: () => void) => void) {
    this.folder = temporaryFolder(onFinished);
  }

  write(files: Readonly<Record<string, string>>): void {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.folder, name)), { recursive: true });
      writeFileSync(join(this.folder, name), text);
    }
  }

  /** @param more.threads default 1: starting a thread costs more than most tests. */
  load(routes: readonly RouteConfig[], more: Partial<RenderConfig & RoutesParts> = {}): Promise<Routes> {
    const { inventory, threads = 1, base = this.folder, ...parts } = more;
    return loadRoutes(
      { routes, base, inventory, threads },
      {
        clock: new MonotonicClock(),
        onWarning: (message, detail) => void this.warnings.push(`${message}: ${String(detail['reason'])}`),
        worker: WORKER,
        stillMs: 1000,
        ...parts,
      },
    );
  }

  static async open(
    files: Readonly<Record<string, string>>,
    routes: readonly RouteConfig[],
    more: Partial<RenderConfig & RoutesParts> = {},
  ): Promise<Desk> {
    const desk = new Desk();
    desk.write(files);
    desk.routes = await desk.load(routes, more);
    onTestFinished(() => desk.routes.close());
    return desk;
  }

  async ask(filename: string, more: Partial<BootRequest> = {}): Promise<Answer> {
    return this.routes.open({ filename, mode: 'octet', client: '192.0.2.7', local: '192.0.2.1', ...more });
  }

  /** Text of the content, or the kind and the reason of any other answer. */
  async read(filename: string, more: Partial<BootRequest> = {}): Promise<string> {
    const answer = await this.ask(filename, more);
    if (answer.kind === 'content') return textOf(answer);
    return 'reason' in answer ? `${answer.kind}: ${answer.reason}` : answer.kind;
  }
}

export function textOf(answer: Answer): string {
  if (answer.kind !== 'content') throw new Error(`Expected content, got ${answer.kind}`);
  return Buffer.from(attachShared(answer.handle).bytes).toString();
}
