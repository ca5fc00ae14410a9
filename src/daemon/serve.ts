/** `reveille serve` for the command line: from flags to a run with the process's streams. */
import { resolve as absolute } from 'node:path';
import { type Flags, resolveSettings } from '../config/resolve-settings.ts';
import type { Settings } from '../config/settings.ts';
import type { ExitCode } from '../config/usage-error.ts';
import { KeptSockets } from '../keeper/kept-sockets.ts';
import { stdoutTarget } from '../telemetry/log.ts';
import { prettyTarget } from '../telemetry/pretty-log.ts';
import type { CommandContext } from './interrupts.ts';
import { runServer } from './run-server.ts';
import { serviceManagerOf } from './service-manager.ts';

function hasColours(): boolean {
  return process.stdout.isTTY && process.env['NO_COLOR'] === undefined;
}

/** Serves until it is told to stop. @throws UsageError before anything is started. */
export function serve(flags: Flags, configFile: string | undefined, context: CommandContext): Promise<ExitCode> {
  const read = (): Settings => resolveSettings(flags, configFile);
  const settings = read();
  return runServer({
    ...context,
    settings,
    manager: () => serviceManagerOf(process.env),
    keep: () => KeptSockets.open(process.env),
    ...(configFile === undefined ? {} : { config: { file: absolute(configFile), read } }),
    target: settings.logFormat === 'pretty' ? prettyTarget(stdoutTarget(), hasColours()) : stdoutTarget(),
  });
}
