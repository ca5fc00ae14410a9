/** Debian's Prometheus as a separate process with a temporary folder, and its tool for rules. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { parse, stringify } from 'yaml';

/** Path of Debian's package, as in .ci/apt-packages. */
const EXECUTABLE = '/usr/bin/prometheus';
export const RULES = resolve(import.meta.dirname, '../../grafana/prometheus');
/** Interval at which Prometheus is polled, in milliseconds. */
const LOOK_MS = 100;

/** True if tests with Prometheus are to run: always in CI, elsewhere if it is installed. */
export const hasPrometheus = existsSync(EXECUTABLE) || (process.env['CI'] ?? '') !== '';

/** @param input text for stdin. @returns its output and exit code. */
export function promtool(args: readonly string[], input = ''): Promise<{ code: number; output: string }> {
  return new Promise((done) => {
    const child = execFile('promtool', args, { cwd: RULES }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), output: `${stdout}${stderr}` });
    });
    child.stdin!.end(input);
  });
}

interface ScrapeJob {
  scrape_interval?: string;
  static_configs: { targets: string[] }[];
}

interface Config {
  global: Record<string, string>;
  rule_files: string[];
  scrape_configs: ScrapeJob[];
}

/** One series of an answer. Values are text, as Prometheus sends them. */
export interface PromSeries {
  readonly metric: Readonly<Record<string, string>>;
  /** Values of a range query: time and value. */
  readonly values?: readonly (readonly [number, string])[];
  /** Value of an instant query: time and value. */
  readonly value?: readonly [number, string];
}

export interface PromRule {
  readonly name: string;
  readonly query: string;
  readonly type: 'recording' | 'alerting';
  readonly health: string;
  readonly lastError?: string;
}

export class Prometheus {
  readonly #url: string;

  private constructor(url: string) {
    this.#url = url;
  }

  /** Starts Prometheus with the shipped configuration, except for the target, and with one second between scrapes. */
  static async start(target: string): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'reveille-prometheus-'));
    const config = parse(readFileSync(join(RULES, 'prometheus.yml'), 'utf8')) as Config;
    config.global['evaluation_interval'] = '1s';
    config.rule_files = config.rule_files.map((file) => join(RULES, file));
    for (const job of config.scrape_configs) {
      job.scrape_interval = '1s';
      job.static_configs = [{ targets: [target] }];
    }
    const file = join(folder, 'prometheus.yml');
    writeFileSync(file, stringify(config));
    const args = [`--config.file=${file}`, `--storage.tsdb.path=${folder}/data`, '--web.listen-address=127.0.0.1:0'];
    const child = spawn(EXECUTABLE, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = once(child, 'close');
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    });
    return new Prometheus(`http://${await Prometheus.#addressOf(child)}`);
  }

  static #addressOf(child: ChildProcess): Promise<string> {
    return new Promise((found, failed) => {
      let said = '';
      child.stderr!.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        const match = /msg="Listening on" address=(\S+)/.exec(said);
        if (match !== null && said.includes('Server is ready to receive web requests')) found(match[1]!);
      });
      child.once('exit', () => failed(new Error(`Prometheus has ended: ${said.slice(-2000)}`)));
    });
  }

  async #ask<T>(path: string, parameters: Readonly<Record<string, string>>): Promise<T> {
    const response = await fetch(`${this.#url}/api/v1/${path}?${String(new URLSearchParams(parameters))}`);
    const answer = (await response.json()) as { status: string; error?: string; data: T };
    if (answer.status !== 'success') throw new Error(`${path} ${JSON.stringify(parameters)}: ${answer.error}`);
    return answer.data;
  }

  /** @param time in seconds since the epoch; undefined means now. @throws Error if Prometheus can't parse the query. */
  async query(query: string, time?: number): Promise<readonly PromSeries[]> {
    const at = time === undefined ? {} : { time: String(time) };
    const { result } = await this.#ask<{ result: readonly PromSeries[] }>('query', { query, ...at });
    return result;
  }

  async queryRange(query: string, start: number, end: number, step: number): Promise<readonly PromSeries[]> {
    const parameters = { query, start: String(start), end: String(end), step: String(step) };
    return (await this.#ask<{ result: readonly PromSeries[] }>('query_range', parameters)).result;
  }

  /** @param selector selects the series whose label values are returned. */
  labelValues(label: string, selector: string): Promise<readonly string[]> {
    return this.#ask(`label/${label}/values`, { 'match[]': selector });
  }

  async rules(): Promise<readonly PromRule[]> {
    return (await this.#ask<{ groups: { rules: PromRule[] }[] }>('rules', {})).groups.flatMap(({ rules }) => rules);
  }

  /** Waits until a query has a value other than 0. */
  async until(query: string): Promise<void> {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- Prometheus does not announce new samples.
      const series = await this.query(query);
      if (series.some(({ value }) => Number(value![1]) !== 0)) return;
      // oxlint-disable-next-line no-await-in-loop -- as above.
      await delay(LOOK_MS);
    }
  }
}
