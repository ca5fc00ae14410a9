/** `reveille serve`: its flags and their help. Knows how flags become settings; run-server.ts runs the server. */
import { createRequire } from 'node:module';
import type { Command } from 'commander';
import type { Address } from '../engine/types.ts';
import { flag, repeatedFlag } from '../config/flag.ts';
import { tuneHeaps } from '../daemon/heap.ts';
import type { CommandContext } from '../daemon/interrupts.ts';
import type { Flags } from '../config/resolve-settings.ts';
import { defaultWorkers, SETTING_KINDS as KINDS } from '../config/settings.ts';
import type { ExitCode } from '../config/usage-error.ts';
import { oneAddress } from '../config/value-kind.ts';
import { oneByOne } from '../load/one-by-one.ts';

const require = createRequire(import.meta.url);

const AFTER_HELP = `
Sizes take B, KiB, MiB or GiB; durations ms, s, m or h. Flags win over the config file, which wins over the defaults.
The config file is YAML; its keys are the flags in camelCase (cacheBytes: 2GiB) and root; admin may be false, listen
a list. A relative root in it is relative to the file.

SIGTERM or SIGINT: running transfers may finish within the drain time. A second one: they are aborted at once.
The log goes to stdout, one JSON object a line; "msg":"listening" says that requests are answered.
`;

type ServeFlags = Flags & { readonly config?: string };

function addAddress(text: string, before: readonly Address[] = []): readonly Address[] {
  return [...before, flag('--listen', oneAddress)(text)];
}

/** Adds the command. @param done receives its exit code. */
export function addServe(program: Command, context: CommandContext, done: (code: ExitCode) => void): void {
  program
    .command('serve')
    .summary('serve a directory and boot sets over TFTP')
    .description('Serves the boot sets of a store, and the files below ROOT, over TFTP until told to stop.')
    .argument('[ROOT]', 'the directory to serve')
    .option('--store <DIR>', 'the store of boot sets to serve', flag('--store', KINDS.store))
    .option('--listen <ADDR:PORT>', 'address to answer on, repeatable (default: 0.0.0.0:69 and [::]:69)', addAddress)
    .option(
      '--admin <ADDR:PORT>',
      'health and metrics over HTTP (default: 127.0.0.1:6970)',
      flag('--admin', oneAddress),
    )
    .option('--no-admin', 'no health and metrics')
    .option(
      '--workers <N>',
      `threads that send packets (default here: ${defaultWorkers()})`,
      flag('--workers', KINDS.workers),
    )
    .option('--engine <NAME>', 'auto, linux or portable (default: auto)', flag('--engine', KINDS.engine))
    .option(
      '--data-ports <FROM-TO>',
      "ports that transfers use, for firewalls (default: the system's; linux engine)",
      flag('--data-ports', KINDS.dataPorts),
    )
    .option('--listen-on-each-address', 'listen on each local address by itself (linux engine; others always do)')
    .option('--answer-broadcast', 'answer requests sent to broadcast addresses too')
    .option('--cache-bytes <SIZE>', 'memory for contents (default: 2GiB)', flag('--cache-bytes', KINDS.cacheBytes))
    .option(
      '--memory-limit <SIZE>',
      'contents being read and kept, never exceeded (default: 75 % of memory)',
      flag('--memory-limit', KINDS.memoryLimit),
    )
    .option('--sessions <N>', 'transfers at once (default: 10000)', flag('--sessions', KINDS.sessions))
    .option('--queue <N>', 'requests that may wait for a session (default: 65536)', flag('--queue', KINDS.queue))
    .option(
      '--clients <CIDR>',
      'network whose addresses may ask, repeatable (default: all)',
      repeatedFlag('--clients', KINDS.clients),
    )
    .option(
      '--half-open <N>',
      'transfers at once that nobody has answered (default: 2048)',
      flag('--half-open', KINDS.halfOpen),
    )
    .option(
      '--half-open-per-network <N>',
      'the same of a /24 or /64 (default: 512)',
      flag('--half-open-per-network', KINDS.halfOpenPerNetwork),
    )
    .option(
      '--half-open-per-address <N>',
      'the same of an address (default: 64)',
      flag('--half-open-per-address', KINDS.halfOpenPerAddress),
    )
    .option(
      '--sessions-per-address <N>',
      'transfers at once of an address (default: 256)',
      flag('--sessions-per-address', KINDS.sessionsPerAddress),
    )
    .option(
      '--sessions-per-network4 <N>',
      'transfers at once of a /24 (default: 2048)',
      flag('--sessions-per-network4', KINDS.sessionsPerNetwork4),
    )
    .option(
      '--sessions-per-network6 <N>',
      'transfers at once of a /64 (default: 8192)',
      flag('--sessions-per-network6', KINDS.sessionsPerNetwork6),
    )
    .option(
      '--patience <TIME>',
      'how long a transfer may stand still (default: 90s)',
      flag('--patience', KINDS.patience),
    )
    .option(
      '--min-rate <BYTES>',
      'bytes a second below which a transfer ends while others wait (default: 0, none)',
      flag('--min-rate', KINDS.minRate),
    )
    .option(
      '--max-windowsize <N>',
      'largest window granted (default: 64)',
      flag('--max-windowsize', KINDS.maxWindowsize),
    )
    .option(
      '--max-blksize <N>',
      "largest block granted; CIDR=N for a network, repeatable (default: by the route's MTU)",
      repeatedFlag('--max-blksize', KINDS.maxBlksize),
    )
    .option('--acknowledge-timeout', "grant the timeout option, at the price of the server's own timing")
    .option('--case-insensitive', 'find boot/x when BOOT/X is asked for')
    .option(
      '--trusted-roots <DIR>',
      'folder that links in ROOT may lead into, repeatable (default: none)',
      repeatedFlag('--trusted-roots', KINDS.trustedRoots),
    )
    .option('--immutable', 'files are replaced, never changed in place: map them instead of copying')
    .option(
      '--pin-idle <TIME>',
      'silence after which a node may begin a new boot with any version (default: 15m)',
      flag('--pin-idle', KINDS.pinIdle),
    )
    .option('--pin-cap <TIME>', 'age after which it may (default: 2h)', flag('--pin-cap', KINDS.pinCap))
    .option(
      '--keep-versions <N>',
      'former versions of a channel to keep (default: 3)',
      flag('--keep-versions', KINDS.keepVersions),
    )
    .option(
      '--stage-zero <PATTERN>',
      'names that a boot begins with, repeatable (default: loaders and configs)',
      repeatedFlag('--stage-zero', KINDS.stageZero),
    )
    .option(
      '--shared-networks <CIDR>',
      'network whose addresses stand for many nodes, repeatable',
      repeatedFlag('--shared-networks', KINDS.sharedNetworks),
    )
    .option('--leases <FILE>', "a DHCP server's leases (dnsmasq, or Kea's memfile)", flag('--leases', KINDS.leases))
    .option('--prefetch', 'read current versions before they are asked for (default)')
    .option('--no-prefetch', 'do not')
    .option(
      '--gc-every <TIME>',
      'between two collections; 0: when the disk gets full (default: 10m)',
      flag('--gc-every', KINDS.gcEvery),
    )
    .option(
      '--gc-grace <TIME>',
      'how long a version that nothing needs stays (default: 10m)',
      flag('--gc-grace', KINDS.gcGrace),
    )
    .option('--inventory <FILE>', 'which nodes there are, for routes', flag('--inventory', KINDS.inventory))
    .option(
      '--render-threads <N>',
      'threads that make configs for nodes (default: 2)',
      flag('--render-threads', KINDS.renderThreads),
    )
    .option(
      '--render-timeout <TIME>',
      'how long making one may take (default: by kind)',
      flag('--render-timeout', KINDS.renderTimeout),
    )
    .option(
      '--api-token-file <FILE>',
      'file with the token of the HTTP API (default: no API)',
      flag('--api-token-file', KINDS.apiTokenFile),
    )
    .option(
      '--drain <TIME>',
      'how long running transfers may go on after SIGTERM (default: 30s)',
      flag('--drain', KINDS.drain),
    )
    .option('--log-level <LEVEL>', 'debug, info, warn or error (default: info)', flag('--log-level', KINDS.logLevel))
    .option('--log-format <NAME>', 'json, or pretty for people (default: json)', flag('--log-format', KINDS.logFormat))
    .option('--hint', 'print a command that fetches a file (default: when stderr is a terminal)')
    .option('--no-hint', 'do not')
    .option('--config <FILE>', 'YAML file with settings')
    .addHelpText('after', AFTER_HELP)
    .action(async (root: string | undefined, options: ServeFlags) => {
      const { config, ...flags } = options;
      tuneHeaps();
      // Loaded on demand: the server's packages take longer to load than most downloads of `get`.
      const { serve } = await oneByOne(
        () => require('../daemon/serve.js') as typeof import('../daemon/serve.ts'),
        () => import('../daemon/serve.ts'),
      );
      done(await serve({ ...flags, root }, config, context));
    });
}
