#!/usr/bin/env node
/**
 * The `reveille` command. The only place that handles signals and sets the exit code; it never calls process.exit(),
 * which would tear down worker threads in the middle of a packet.
 */
import { type CommandContext, Interrupts } from '../daemon/interrupts.ts';
import { EXIT } from '../config/usage-error.ts';
import { errorLine } from '../text/error-text.ts';
import { complain, runCommand } from './run.ts';
import { readVersion } from './version.ts';

// Sets the number of threads for file calls before the first one starts, because a disk that hangs keeps some of them
// (see disk-turns.ts). Before Node.js 24 the threads exist by now, since they read this file; there the environment
// must set the number, as the systemd unit does.
if (Number(process.versions.node.split('.')[0]) >= 24) process.env['UV_THREADPOOL_SIZE'] ??= '16';

const interrupts = new Interrupts();
const context: CommandContext = { interrupts, stderr: process.stderr, version: readVersion().version };

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => interrupts.emit('signal', signal));
// A `serve` that cannot reload ends on SIGHUP as on any other signal. Other commands do not handle SIGHUP: the system
// ends them.
if (process.argv[2] === 'serve' || process.argv[2] === 'keeper')
  process.on('SIGHUP', () => interrupts.emit('reload') || interrupts.emit('signal', 'SIGHUP'));
if (process.argv[2] === 'keeper') process.on('SIGUSR2', () => interrupts.emit('upgrade'));
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    if (interrupts.emit('fault', error)) return;
    complain(context, errorLine(error));
    process.exitCode = EXIT.failed;
  });
}
// Serving goes on when the terminal has gone away.
process.stderr.on('error', () => {});

const code = await runCommand(process.argv.slice(2), context);
process.exitCode ??= code;
