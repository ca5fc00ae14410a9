/**
 * Known facts of clients that boot over HTTP, as data: the fields each sends, how it uses connections, when it gives up
 * and when it asks again. docs/storm-profiles.md shows the same facts as tables. Where a client has no limit of its own,
 * one of ours stands in, so that every storm ends, and `source` says so.
 */
import type { HttpProfile, RequestField } from './profile.ts';

function field(name: string, value: string): RequestField {
  return { name, value };
}

const IPXE_HTTP: HttpProfile = {
  via: 'http',
  name: 'ipxe-http',
  title: 'iPXE over HTTP',
  source:
    'ipxe/ipxe src/net/tcp/httpcore.c, httpconn.c and src/core/pool.c. iPXE waits 120 s for a byte, and repeats ' +
    'its request without limit after an error with Retry-After (this profile at most 60 times). It uses HEAD and ' +
    'ranges only for SAN disks. TCP limits the wait for a connection, as in `ipxe`.',
  fields: [field('Host', '{host}{port}'), field('User-Agent', 'iPXE/1.21.1'), field('Connection', 'keep-alive')],
  head: false,
  keepAliveMs: 10_000,
  reopens: true,
  resets: false,
  toTheLetter: false,
  connectMs: 15_750,
  headMs: 120_000,
  bodyMs: 120_000,
  asksAgainAfter: ['retry-after'],
  // iPXE waits as long as Retry-After says. The schedule applies to a Retry-After that is a date.
  schedule: { firstMs: 5000, factor: 1, addMs: 0, ceilingMs: 5000, sends: 60 },
  resumes: false,
};

const UEFI_HTTP: HttpProfile = {
  via: 'http',
  name: 'uefi-http',
  title: 'UEFI HTTP boot (EDK2 and most vendors)',
  source:
    'tianocore/edk2 NetworkPkg/HttpBootDxe and HttpIoLib: HEAD, then GET whatever the answer to HEAD; 5 s for ' +
    'each step. Newer releases resume a file that breaks off. The number of attempts and the 2 s between them are' +
    ' build settings; the profile has the defaults.',
  fields: [field('Host', '{host}'), field('Accept', '*/*'), field('User-Agent', 'UefiHttpBoot/1.0')],
  head: true,
  // The driver keeps its connection for as long as it runs, which is until the end of the boot.
  keepAliveMs: 3_600_000,
  reopens: false,
  resets: false,
  toTheLetter: false,
  connectMs: 5000,
  headMs: 5000,
  bodyMs: 5000,
  asksAgainAfter: ['silence', 'lost'],
  schedule: { firstMs: 2000, factor: 1, addMs: 0, ceilingMs: 2000, sends: 5 },
  resumes: true,
};

const GRUB_HTTP: HttpProfile = {
  via: 'http',
  name: 'grub-http',
  title: 'GRUB 2 over HTTP',
  source:
    'rhboot/grub2 grub-core/net/http.c and net.c: GRUB opens a connection for each file and closes it by reset. ' +
    'It polls 100 times for 300 ms until the head arrives, connecting included, and is then as patient as over ' +
    'TFTP. It sends Range only to seek, which it does not do in a kernel or an initrd.',
  fields: [field('Host', '{host}'), field('User-Agent', 'GRUB 2.12')],
  head: false,
  keepAliveMs: 0,
  reopens: false,
  resets: true,
  toTheLetter: true,
  connectMs: 30_000,
  headMs: 30_000,
  bodyMs: 32_400,
  asksAgainAfter: [],
  schedule: { firstMs: 0, factor: 1, addMs: 0, ceilingMs: 0, sends: 1 },
  resumes: false,
};

const CURL: HttpProfile = {
  via: 'http',
  name: 'curl',
  title: 'curl as dracut runs it in an initrd',
  source:
    'dracut modules.d/45url-lib (--retry 3 --retry-connrefused --fail); curl 7.88 by its manual, seen on the ' +
    'wire. curl does not repeat the request for a file that breaks off. It waits 300 s for a connection, and ' +
    'without limit for an answer (this profile 300 s).',
  fields: [field('Host', '{host}{port}'), field('User-Agent', 'curl/7.88.1'), field('Accept', '*/*')],
  head: false,
  // dracut starts one curl process for each file.
  keepAliveMs: 0,
  reopens: false,
  resets: false,
  toTheLetter: false,
  connectMs: 300_000,
  headMs: 300_000,
  bodyMs: 300_000,
  asksAgainAfter: ['refused', 'silence', 'busy'],
  schedule: { firstMs: 1000, factor: 2, addMs: 0, ceilingMs: 600_000, sends: 4 },
  resumes: false,
};

export const HTTP_PROFILES: readonly HttpProfile[] = [IPXE_HTTP, UEFI_HTTP, GRUB_HTTP, CURL];
