/** The example servers as separate processes, and single requests to them. */
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { fetchFile } from '../../src/client/fetch.ts';
import type { Address } from '../../src/engine/types.ts';
import { type LogLine, type OnTestFinished, Reveille } from '../support/reveille.ts';

export const EXAMPLES = join(import.meta.dirname, '../../examples');

export class ExampleServer {
  readonly port: number;
  readonly admin: string;
  readonly #process: Reveille;
  readonly #address: Address;

  private constructor(process: Reveille, line: LogLine) {
    this.#process = process;
    const [address] = line['addresses'] as string[];
    this.port = Number(address!.split(':')[1]);
    this.#address = { address: '127.0.0.1', port: this.port };
    this.admin = `http://${String(line['admin'])}`;
  }

  /**
   * @param config the path of the server's config file. @param flags more flags. By default the server has one worker
   * and one thread that makes configs: each more costs 0.2 s of processor time to start.
   */
  static start(config: string, ...flags: string[]): Promise<ExampleServer> {
    return ExampleServer.startFor(onTestFinished, config, ...flags);
  }

  /** The same. @param onFinished hook that ends the server. */
  static async startFor(onFinished: OnTestFinished, config: string, ...flags: string[]): Promise<ExampleServer> {
    const args = ['serve', '--config', config, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--no-hint'];
    const process = new Reveille([...args, '--workers', '1', '--render-threads', '1', ...flags], { onFinished });
    const [line] = await process.saying(/^\{.*"msg":"listening"\}$/m);
    const server = new ExampleServer(process, JSON.parse(line) as LogLine);
    onFinished(async () => void (await server.stop()));
    return server;
  }

  /** @returns the content, `error N`, or any other outcome of the transfer. */
  async ask(filename: string): Promise<string> {
    const chunks: Buffer[] = [];
    const { outcome, errorCode } = await fetchFile({
      server: this.#address,
      filename,
      mode: 'octet',
      wish: { blksize: 1408, tsize: true },
      sink: { write: (bytes) => void chunks.push(Buffer.from(bytes)) },
      lingerMs: 0,
    });
    if (outcome === 'refused') return `error ${errorCode}`;
    return outcome === 'complete' ? Buffer.concat(chunks).toString() : outcome;
  }

  /** Waits for a match in the log. */
  saying(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#process.saying(pattern);
  }

  signal(name: NodeJS.Signals): void {
    this.#process.process.kill(name);
  }

  /** @returns the lines of the log. */
  async stop(): Promise<readonly LogLine[]> {
    this.signal('SIGTERM');
    const { stdout } = await this.#process.ended;
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as LogLine);
  }
}
