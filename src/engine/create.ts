/** Creates an engine by name. */
import type { Estate } from './estate.ts';
import { LinuxEngine } from './linux/engine.ts';
import type { PortRange } from './linux/port-range.ts';
import { checkLinuxEngine } from './linux/self-check.ts';
import { PortableEngine } from './portable.ts';
import type { SocketKeep } from './socket-keep.ts';
import type { Engine } from './types.ts';

export type EngineKind = 'linux' | 'portable';

export interface EngineOptions {
  /** Linux engine: ports of transfers. Default: the system's ephemeral ports. */
  readonly dataPorts?: PortRange;
  /** Transfers share the listening port. Linux engine: the number of workers. */
  readonly singlePort?: number;
  /** Linux engine: descriptors for HTTP connections, which ports of transfers must leave. */
  readonly reserved?: number;
  /** Linux engine: files are sent by sendfile(2) too. */
  readonly sendsFiles?: boolean;
  /** Linux engine: the list of what a worker holds, see LinuxEngineOptions. */
  readonly estate?: Estate;
}

/** @param keep listening sockets that outlive this process; the Linux engine alone uses them. */
export function createEngine(kind: EngineKind, options: EngineOptions = {}, keep?: SocketKeep): Engine {
  switch (kind) {
    case 'linux':
      return new LinuxEngine({ ...options, keep });
    case 'portable':
      return new PortableEngine({ singlePort: options.singlePort !== undefined });
  }
}

export interface EngineChoice {
  readonly kind: EngineKind;
  /** Why `auto` did not choose the fastest engine; undefined when it did. */
  readonly reason: string | undefined;
}

/**
 * Resolves a configured engine to the one used on this machine.
 *
 * @throws Error when `linux` is demanded and can't run.
 */
export async function resolveEngine(wanted: 'auto' | EngineKind): Promise<EngineChoice> {
  if (wanted === 'portable') return { kind: 'portable', reason: undefined };
  const reason = await checkLinuxEngine();
  if (reason === undefined) return { kind: 'linux', reason };
  if (wanted === 'linux') throw new Error(`The linux engine cannot run here: ${reason}`);
  return { kind: 'portable', reason };
}
