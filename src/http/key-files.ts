/**
 * The certificate and key of HTTPS: read, checked against each other, and read again when a file changes. Knows files
 * and PEM; no sockets.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { errorLine } from '../text/error-text.ts';
import type { KeyPair } from './messages.ts';
import type { TlsFiles } from './types.ts';

/** O_NONBLOCK: opening a FIFO must not wait for a writer. Windows lacks it, and it then counts as 0. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;
/** @limit Size of a certificate chain and of a key. Shows: a message at the start, or a warning after a change. */
const MAX_FILE_BYTES = 1024 * 1024;

export interface KeyFilesOptions {
  readonly onChanged: (keyPair: KeyPair) => void;
  readonly onWarning: (message: string, detail: Readonly<Record<string, unknown>>) => void;
  /** Interval of the looks at the files, ms. */
  readonly lookMs: number;
}

export class KeyFiles {
  keyPair: KeyPair;
  readonly #files: TlsFiles;
  readonly #options: KeyFilesOptions;
  #stamp: string;
  readonly #timer: NodeJS.Timeout;
  #isLooking = false;

  private constructor(files: TlsFiles, options: KeyFilesOptions, keyPair: KeyPair, stamp: string) {
    this.#files = files;
    this.#options = options;
    this.keyPair = keyPair;
    this.#stamp = stamp;
    this.#timer = setInterval(() => void this.look(), options.lookMs).unref();
  }

  /** @throws Error with a one-line message that names the file. */
  static async open(files: TlsFiles, options: KeyFilesOptions): Promise<KeyFiles> {
    const stamp = await stampOf(files);
    return new KeyFiles(files, options, await readKeyPair(files), stamp);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Reads the files again if one has changed. A pair that does not match leaves the former one in use. Never rejects. */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const stamp = await stampOf(this.#files);
      if (stamp === this.#stamp) return;
      this.#stamp = stamp;
      this.keyPair = await readKeyPair(this.#files);
      this.#options.onChanged(this.keyPair);
    } catch (error) {
      this.#options.onWarning('the changed certificate is not used, the former one goes on', {
        error: errorLine(error),
      });
    } finally {
      this.#isLooking = false;
    }
  }
}

async function stampOf({ certificate, key }: TlsFiles): Promise<string> {
  const stamps = await Promise.all(
    [certificate, key].map(async (file) => {
      try {
        const { ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
        return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
      } catch (error) {
        return errorLine(error);
      }
    }),
  );
  return stamps.join('\n');
}

async function read(setting: string, file: string): Promise<string> {
  try {
    const handle = await open(file, FLAGS);
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) throw new Error(`expected a file, got something else: ${file}`);
      if (stats.size > MAX_FILE_BYTES) throw new Error(`expected at most ${MAX_FILE_BYTES} bytes, got ${file}`);
      return await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new Error(`${setting}: ${errorLine(error)}`, { cause: error });
  }
}

/** @throws Error with a one-line message that names the file. */
export async function readKeyPair({ certificate, key }: TlsFiles): Promise<KeyPair> {
  const pair = { cert: await read('tlsCertificate', certificate), key: await read('tlsKey', key) };
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(pair.cert);
  } catch (error) {
    throw new Error(`tlsCertificate: expected a certificate in PEM, got ${certificate}`, { cause: error });
  }
  let own: ReturnType<typeof createPrivateKey>;
  try {
    own = createPrivateKey(pair.key);
  } catch (error) {
    throw new Error(`tlsKey: expected a private key in PEM without a passphrase, got ${key}`, { cause: error });
  }
  if (!leaf.checkPrivateKey(own)) throw new Error(`tlsKey: ${key} is not the key of the certificate in ${certificate}`);
  try {
    createSecureContext(pair);
  } catch (error) {
    throw new Error(`tlsCertificate: ${certificate} can't be used: ${errorLine(error)}`, { cause: error });
  }
  return pair;
}
