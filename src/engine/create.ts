/** Chooses an engine by name. */
import { PortableEngine } from './portable.ts';
import type { Engine } from './types.ts';

export type EngineKind = 'portable';

export function createEngine(kind: EngineKind): Engine {
  switch (kind) {
    case 'portable':
      return new PortableEngine();
  }
}

/** What a configuration's `auto` stands for on this machine. */
export function resolveEngine(wanted: 'auto' | EngineKind): EngineKind {
  return wanted === 'auto' ? 'portable' : wanted;
}
