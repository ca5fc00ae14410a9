/** The log record that says that requests are answered, and where. Decides nothing. */
import type { Settings } from '../config/settings.ts';
import type { Address } from '../engine/types.ts';
import { urlOf } from '../http/http-url.ts';
import type { Server } from '../server/types.ts';
import type { Listening } from '../telemetry/log.ts';
import { formatAddress } from '../text/address-text.ts';
import { escapeText } from '../text/escape.ts';

export function listeningRecord(
  { addresses, httpAddresses: http, engine }: Server,
  { workers, singlePort, root, store, routes }: Settings,
  admin: Address | undefined,
  version: string,
): Listening {
  return {
    addresses: addresses.map(formatAddress),
    ...(http.length === 0 ? {} : { http: http.map(urlOf) }),
    admin: admin === undefined ? false : formatAddress(admin),
    engine,
    ...(singlePort ? { singlePort: true } : {}),
    workers,
    ...(root === undefined ? {} : { root: escapeText(root) }),
    ...(store === undefined ? {} : { store: escapeText(store) }),
    ...(routes.length === 0 ? {} : { routes: routes.length }),
    version,
  };
}
