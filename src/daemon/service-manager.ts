/**
 * What a service manager that has started us (systemd, Type=notify) is told: that requests are answered, that we are
 * stopping, and in between that the main loop goes round. Knows its protocol (sd_notify(3)); no server.
 */
import { openNotifySocket, type NotifySocket } from '../engine/notify-socket.ts';

type Environment = Record<string, string | undefined>;

export class ServiceManager {
  readonly #socket: NotifySocket;
  readonly #watchdogMs: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param watchdogMs silence after which we are taken for dead; 0: never. */
  constructor(socket: NotifySocket, watchdogMs: number) {
    this.#socket = socket;
    this.#watchdogMs = watchdogMs;
  }

  /** Requests are answered from now on. @param status one line for people. */
  ready(status: string): void {
    this.#socket.send(`READY=1\nSTATUS=${status.replaceAll('\n', ' ')}`);
    if (this.#watchdogMs === 0 || this.#timer !== undefined) return;
    // A timer of the main loop: where that hangs, nothing is said.
    this.#timer = setInterval(() => this.#socket.send('WATCHDOG=1'), this.#watchdogMs / 2).unref();
  }

  stopping(): void {
    this.#socket.send('STOPPING=1');
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }
}

/** By the environment that it gives. What it says is for us alone: processes that we start don't get it. */
export function serviceManagerOf(
  environment: Environment,
  open: (path: string) => NotifySocket = openNotifySocket,
): ServiceManager | undefined {
  const { NOTIFY_SOCKET: path, WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = environment;
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[name];
  if (path === undefined || path === '') return undefined;
  const isForUs = pid === undefined || pid === String(process.pid);
  const watchdogMs = isForUs && /^[1-9][0-9]{0,14}$/.test(usec ?? '') ? Number(usec) / 1000 : 0;
  return new ServiceManager(open(path), watchdogMs);
}
