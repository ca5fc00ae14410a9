/** Settings for serving over HTTP and HTTPS. */
import { availableParallelism } from 'node:os';
import { section, setting } from './setting.ts';
import { addresses, file, wholeNumber } from './value-kind.ts';

export const HTTP_BOOT = section('HTTP boot', {
  http: setting({
    kind: addresses,
    help: 'address on which to serve the same over HTTP; without one there is no HTTP',
    docs: [
      'The addresses on which the server gives [the same boot sets, configs and files over HTTP](http-boot.md).',
      'Without one it speaks TFTP alone.',
    ],
  }),
  https: setting({
    kind: addresses,
    help: 'address on which to serve the same over HTTPS',
    docs: ['The addresses for HTTPS (TLS 1.2 and 1.3).', 'Requires `tlsCertificate` and `tlsKey`.'],
  }),
  tlsCertificate: setting({
    kind: file,
    help: 'file with the certificate of HTTPS and those of its issuers, in PEM; read again when it changes',
    docs: [
      'A file with the certificate of HTTPS, and after it those of its issuers, in PEM.',
      'It is read again within 5 seconds when it or the key changes; a pair that does not match leaves the former one in use.',
    ],
  }),
  tlsKey: setting({
    kind: file,
    help: 'file with the key of the certificate, in PEM without a passphrase',
  }),
  httpThreads: setting({
    kind: wholeNumber(1, 64),
    default: () => Math.min(2, availableParallelism()),
    defaultText: '2, or 1 on a machine with one core',
    help: 'threads that send over HTTP; the portable engine has one',
    docs: ['Threads that send over HTTP, apart from `workers`.', 'The portable engine has one.'],
  }),
  httpConnections: setting({
    kind: wholeNumber(1, 1_000_000),
    default: 10_000,
    help: 'HTTP connections at once; further ones are closed',
    docs: [
      'HTTP connections at once; further ones are closed.',
      'They count as transfers for `sessionsPerAddress` and the limits of networks.',
    ],
  }),
});
