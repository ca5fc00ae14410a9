/** What settings say of routes, as those who make configs want it. Knows both shapes. */
import type { RenderConfig } from '../render/types.ts';
import type { Settings } from './settings.ts';

/** @param base the folder that templates and handlers are relative to: that of the config file. */
export function renderConfig(settings: Settings, base: string): RenderConfig {
  const { routes, caseInsensitive, inventory, renderThreads, renderTimeout } = settings;
  return {
    routes: routes.map((route) =>
      renderTimeout === undefined ? route : { ...route, timeoutMs: route.timeoutMs ?? renderTimeout },
    ),
    caseInsensitive,
    base,
    threads: renderThreads,
    ...(inventory === undefined ? {} : { inventory }),
  };
}
