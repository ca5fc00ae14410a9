/**
 * Notifies the service manager that has started the process (systemd, Type=notify): that requests are answered, that
 * the server is stopping, and in between that the main loop is alive. Knows the protocol (sd_notify(3)); no server.
 */
import { openNotifySocket, type NotifySocket } from '../engine/notify-socket.ts';

type Environment = Record<string, string | undefined>;

export class ServiceManager {
  readonly #socket: NotifySocket;
  readonly #watchdogMs: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param watchdogMs silence after which the manager takes the process for dead; 0 disables the watchdog. */
  constructor(socket: NotifySocket, watchdogMs: number) {
    this.#socket = socket;
    this.#watchdogMs = watchdogMs;
  }

  /** Reports that requests are answered from now on. @param status one line for people. */
  ready(status: string): void {
    this.#socket.send(`READY=1\nSTATUS=${status.replaceAll('\n', ' ')}`);
    this.#watch();
  }

  /** Reports that the main loop is alive, already while the server starts in place of another one of the service. */
  startsAgain(): void {
    if (this.#watchdogMs === 0) return;
    this.#socket.send('WATCHDOG=1');
    this.#watch();
  }

  #watch(): void {
    if (this.#watchdogMs === 0 || this.#timer !== undefined) return;
    // A timer of the main loop, so that a hung loop sends nothing.
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

/** Reads the manager's environment variables, and removes them so that child processes do not inherit them. */
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
