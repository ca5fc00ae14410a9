/** Registries for tests: Debian's docker-registry, and one in this process that may lie, stall and cut. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { buildManifest, EMPTY_CONFIG, EMPTY_DIGEST, sha256 } from '../../src/boot-set/store/manifest.ts';
import { folder } from '../boot-set/fixture.ts';
import type { KeyPairFiles } from '../support/tls-files.ts';

export const hasRegistry = spawnSync('docker-registry', ['--version']).status === 0;
export const hasSkopeo = spawnSync('skopeo', ['--version']).status === 0;

/** User and password, and the line of an htpasswd file for them. */
export const USER = { name: 'alice', password: 'open sesame' };
const HTPASSWD = 'alice:$2b$04$qh19G5r7..okQBexqTvFnevAi7N83N7rampFXqTq8zZ9WJWNDX6yu\n';

/** Debian's registry, on a port of the system's choice and a folder of its own. */
export class DebianRegistry {
  readonly #child: ChildProcess;
  readonly host: string;

  private constructor(child: ChildProcess, host: string) {
    this.#child = child;
    this.host = host;
  }

  /** @param address where it listens; by default a free port. @param tls its certificate; by default plain HTTP. */
  static async start({
    data = folder(),
    address = '127.0.0.1:0',
    isProtected = false,
    tls,
  }: {
    readonly data?: string;
    readonly address?: string;
    readonly isProtected?: boolean;
    readonly tls?: KeyPairFiles;
  } = {}): Promise<DebianRegistry> {
    mkdirSync(data, { recursive: true });
    const config = join(data, 'config.yml');
    const htpasswd = join(data, 'htpasswd');
    writeFileSync(htpasswd, HTPASSWD);
    const auth = isProtected ? `auth: {htpasswd: {realm: test, path: ${htpasswd}}}\n` : '';
    const secure = tls === undefined ? '' : `, tls: {certificate: ${tls.certificate}, key: ${tls.key}}`;
    writeFileSync(
      config,
      `version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: ${data}}}\nhttp: {addr: "${address}"${secure}}\n${auth}`,
    );
    return await DebianRegistry.#run(config);
  }

  static async #run(config: string): Promise<DebianRegistry> {
    const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    const host = await new Promise<string>((resolve, reject) => {
      let log = '';
      // Read to the end: the registry dies when nobody reads its log.
      child.stderr.on('data', (piece: Buffer) => {
        log = (log + piece.toString()).slice(-10_000);
        const found = /listening on ([0-9.]+:[0-9]+)/.exec(log)?.[1];
        if (found !== undefined) resolve(found);
      });
      child.once('exit', () => reject(new Error(`docker-registry ended: ${log}`)));
    });
    return new DebianRegistry(child, host);
  }

  async kill(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

export type Misbehave = (request: IncomingMessage, response: ServerResponse, turn: number) => boolean | undefined;

/** A registry in this process that holds boot sets for pulling, and may misbehave. */
export class FakeRegistry {
  readonly blobs = new Map<string, Buffer>();
  /** Manifests by tag and by digest. */
  readonly manifests = new Map<string, string>();
  /** `METHOD path`, in their order. */
  readonly asked: string[] = [];
  readonly headers: IncomingMessage['headers'][] = [];
  /** Answers a request in place of the registry and returns true, or leaves it to the registry. */
  misbehave: Misbehave = () => false;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(port = 0): Promise<FakeRegistry> {
    const server = createServer();
    const fake = new FakeRegistry(server);
    server.on('request', (request, response) => fake.#answer(request, response));
    server.on('connection', (socket) => socket.on('error', () => {}));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => fake.stop());
    return fake;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Adds a manifest under a tag. */
  add(tag: string, text: string): string {
    const digest = sha256(text);
    this.manifests.set(tag, text).set(`sha256:${digest}`, text);
    return digest;
  }

  /** Adds a boot set of these files under tags. @returns the digest of its manifest. */
  addSet(files: Readonly<Record<string, Buffer>>, ...tags: readonly string[]): string {
    this.blobs.set(EMPTY_DIGEST, Buffer.from(EMPTY_CONFIG));
    const records = Object.entries(files).map(([name, bytes]) => {
      this.blobs.set(sha256(bytes), bytes);
      return { name, digest: sha256(bytes), size: bytes.length };
    });
    const text = buildManifest({ files: records });
    for (const tag of tags) this.add(tag, text);
    return sha256(text);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url = '', headers } = request;
    this.asked.push(`${method} ${url}`);
    this.headers.push(headers);
    request.resume();
    if (this.misbehave(request, response, this.asked.length) === true) return;
    const [, kind, name = ''] = /\/(manifests|blobs)\/([^?/]+)$/.exec(url) ?? [];
    if (url.includes('/tags/list')) {
      const tags = [...this.manifests.keys()].filter((tag) => !tag.includes(':'));
      response.end(JSON.stringify({ name: 'x', tags }));
      return;
    }
    const body = kind === 'manifests' ? this.manifests.get(name) : this.blobs.get(name.slice(7));
    if (body === undefined) {
      response.writeHead(404).end();
      return;
    }
    const bytes = Buffer.from(body);
    const from = Number(/^bytes=([0-9]+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
    const etag = `"${sha256(bytes)}"`;
    if (headers['if-none-match'] === etag) {
      response.writeHead(304).end();
      return;
    }
    response.writeHead(from > 0 ? 206 : 200, {
      'content-length': bytes.length - from,
      'docker-content-digest': `sha256:${sha256(bytes)}`,
      etag,
      ...(from > 0 ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
    });
    response.end(method === 'HEAD' ? undefined : bytes.subarray(from));
  }
}
