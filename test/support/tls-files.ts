/** Certificates for tests, made by the openssl command. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface KeyPairFiles {
  readonly certificate: string;
  readonly key: string;
}

/** Makes a key and a certificate for 127.0.0.1. @param signer authority; by default it signs itself. @returns their files. */
export async function keyPairFiles(folder: string, name = 'server', signer?: KeyPairFiles): Promise<KeyPairFiles> {
  const [certificate, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    ...subject,
    ...(signer === undefined ? [] : ['-CA', signer.certificate, '-CAkey', signer.key]),
    '-keyout',
    key,
    '-out',
    certificate,
  ]);
  return { certificate, key };
}
