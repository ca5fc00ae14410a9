// Runs a command with only the system calls that a systemd unit allows, as systemd would: every other one fails with
// EPERM. Arguments: the numbers of the allowed calls, separated by commas, then the command.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const koffi = require('koffi');

const [allowed, ...command] = process.argv.slice(2);

const PR_SET_NO_NEW_PRIVS = 38;
const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2;
const AUDIT_ARCH_X86_64 = 0xc000003e;
const SOCKET = 41;
/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, as in the unit's RestrictAddressFamilies. */
const FAMILIES = [1, 2, 10, 16];
const [LOAD, IF_EQUAL, RETURN] = [0x20, 0x15, 0x06];
const [ALLOW, KILL] = [0x7fff0000, 0x80000000];
const [EPERM, EAFNOSUPPORT] = [0x00050001, 0x00050061];

/** Instructions of the filter, each a struct sock_filter. */
const program = [];
const add = (code, jt, jf, k) => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt8(jt, 2);
  bytes.writeUInt8(jf, 3);
  bytes.writeUInt32LE(k, 4);
  program.push(bytes);
};
add(LOAD, 0, 0, 4);
add(IF_EQUAL, 1, 0, AUDIT_ARCH_X86_64);
add(RETURN, 0, 0, KILL);
add(LOAD, 0, 0, 0);
for (const number of allowed.split(',').map(Number)) {
  if (number === SOCKET) continue;
  add(IF_EQUAL, 0, 1, number);
  add(RETURN, 0, 0, ALLOW);
}
add(IF_EQUAL, 1, 0, SOCKET);
add(RETURN, 0, 0, EPERM);
add(LOAD, 0, 0, 16);
for (const family of FAMILIES) {
  add(IF_EQUAL, 0, 1, family);
  add(RETURN, 0, 0, ALLOW);
}
add(RETURN, 0, 0, EAFNOSUPPORT);

const filter = Buffer.concat(program);
const header = Buffer.alloc(16);
header.writeUInt16LE(program.length, 0);
header.writeBigUInt64LE(koffi.address(filter), 8);

/** Buffers of the strings, kept alive until execve. strings() returns a null-terminated array of pointers to them. */
const kept = [];
const strings = (list) => {
  const array = Buffer.alloc(8 * (list.length + 1));
  list.forEach((text, at) => {
    const bytes = Buffer.from(`${text}\0`);
    kept.push(bytes);
    array.writeBigUInt64LE(koffi.address(bytes), 8 * at);
  });
  return array;
};
const argv = strings(command);
const envp = strings(Object.entries(process.env).map(([name, value]) => `${name}=${value}`));

const libc = koffi.load('libc.so.6');
const prctl = libc.func('int prctl(int, uint64_t, void *, uint64_t, uint64_t)');
const execve = libc.func('int execve(const char *, void *, void *)');
// Node.js sets close-on-exec on these descriptors.
const fcntl = libc.func('int fcntl(int, int, int)');
const F_SETFD = 2;
for (const fd of [0, 1, 2]) fcntl(fd, F_SETFD, 0);
if (prctl(PR_SET_NO_NEW_PRIVS, 1, null, 0, 0) !== 0) throw new Error('no new privileges: refused');
// The filter applies only to this thread; exec ends the others.
if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0) !== 0) throw new Error(`seccomp: errno ${koffi.errno()}`);
execve(command[0], argv, envp);
throw new Error(`can't run ${command[0]}: errno ${koffi.errno()}`);
