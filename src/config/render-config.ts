/** Converts settings to the config of the route modules. Knows both shapes. */
import type { RenderConfig } from '../render/types.ts';
import type { Settings } from './settings.ts';

/** @param base folder that templates and handlers are relative to, which is the config file's. */
export function renderConfig(settings: Settings, base: string): RenderConfig {
  const { routes, caseInsensitive, inventory, renderThreads, renderTimeoutMs } = settings;
  return {
    routes: routes.map((route) =>
      renderTimeoutMs === undefined ? route : { ...route, timeoutMs: route.timeoutMs ?? renderTimeoutMs },
    ),
    caseInsensitive,
    base,
    threads: renderThreads,
    ...(inventory === undefined ? {} : { inventory }),
  };
}
