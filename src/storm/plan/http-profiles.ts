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
    'ipxe/ipxe src/net/tcp/httpcore.c, httpconn.c and src/core/pool.c. It waits 120 s for a byte, asks again without ' +
    "limit after an error that has a Retry-After (60 times here), and HEAD and ranges are for SAN disks alone. Connecting is TCP's: as in `ipxe`.",
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
  // Retry-After is the wait; 5 s stand in for one that is a date.
  schedule: { firstMs: 5000, factor: 1, addMs: 0, ceilingMs: 5000, sends: 60 },
  resumes: false,
};

const UEFI_HTTP: HttpProfile = {
  via: 'http',
  name: 'uefi-http',
  title: 'UEFI HTTP boot (EDK2 and most vendors)',
  source:
    'tianocore/edk2 NetworkPkg/HttpBootDxe and HttpIoLib: HEAD, then GET whatever HEAD gave; 5 s for each step; a file ' +
    'that breaks off is resumed, in newer releases. The number of its attempts and the 2 s between them are build settings: the defaults.',
  fields: [field('Host', '{host}'), field('Accept', '*/*'), field('User-Agent', 'UefiHttpBoot/1.0')],
  head: true,
  // The connection is its driver's for as long as the driver runs.
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
    'rhboot/grub2 grub-core/net/http.c and net.c: a connection for each open, closed by reset; 100 polls of 300 ms for ' +
    "the head, connecting included; then as patient as over TFTP. Its Range is for seeking, which reading a kernel or an initrd doesn't do.",
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
    'dracut modules.d/45url-lib (--retry 3 --retry-connrefused --fail); curl 7.88 by its manual, seen on the wire. A file ' +
    'that breaks off is not asked for again. It waits 300 s for a connection and without limit for an answer: 300 s here.',
  fields: [field('Host', '{host}{port}'), field('User-Agent', 'curl/7.88.1'), field('Accept', '*/*')],
  head: false,
  // A process for each file.
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
