/** Reasons why the kernel did not send a datagram, as a closed set of names: labels of a metric. */

export const SEND_ERRNOS = [
  /** The socket's buffer is full, even after a wait. */
  'EAGAIN',
  /** The device's queue is full. */
  'ENOBUFS',
  /** The datagram is longer than the path or the device allows. */
  'EMSGSIZE',
  /** A firewall forbids it. */
  'EPERM',
  'EACCES',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ENETDOWN',
  'EINVAL',
  /** The file under a mapping was truncated. */
  'EFAULT',
  'other',
] as const;
export type SendErrno = (typeof SEND_ERRNOS)[number];

/** Linux's errno for each name. */
const NUMBERS: Readonly<Record<number, SendErrno>> = {
  1: 'EPERM',
  11: 'EAGAIN',
  13: 'EACCES',
  14: 'EFAULT',
  22: 'EINVAL',
  90: 'EMSGSIZE',
  100: 'ENETDOWN',
  101: 'ENETUNREACH',
  105: 'ENOBUFS',
  113: 'EHOSTUNREACH',
};

const NAMES: ReadonlySet<string> = new Set(SEND_ERRNOS);

/** @param errno Linux's number, or Node.js's name for it. */
export function sendErrno(errno: number | string | undefined): SendErrno {
  if (typeof errno === 'number') return NUMBERS[errno] ?? 'other';
  return errno !== undefined && NAMES.has(errno) ? (errno as SendErrno) : 'other';
}

export function noSendErrors(): Record<SendErrno, number> {
  return Object.fromEntries(SEND_ERRNOS.map((name) => [name, 0])) as Record<SendErrno, number>;
}

export function addErrors(
  one: Readonly<Record<SendErrno, number>>,
  other: Readonly<Record<SendErrno, number>>,
): Record<SendErrno, number> {
  const sum = noSendErrors();
  for (const errno of SEND_ERRNOS) sum[errno] = one[errno] + other[errno];
  return sum;
}
