/**
 * Descriptors that a service manager has given a process (sd_listen_fds(3)). Knows the protocol; not what is bound to
 * the descriptors.
 */

/** The first descriptor given; fixed by the protocol. */
const FIRST = 3;
/** @limit Descriptors that are taken from a service manager; more are ignored. */
const MAX_GIVEN = 256;

type Environment = Record<string, string | undefined>;

/**
 * Reads the variables, and removes them so that child processes do not inherit them.
 *
 * @returns the descriptors; none when they were given to another process.
 */
export function givenDescriptors(environment: Environment, pid: number): number[] {
  const { LISTEN_FDS: count, LISTEN_PID: wantedPid } = environment;
  for (const name of ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID']) delete environment[name];
  if (wantedPid !== String(pid) || !/^[1-9][0-9]{0,5}$/.test(count ?? '')) return [];
  return Array.from({ length: Math.min(Number(count), MAX_GIVEN) }, (_, index) => FIRST + index);
}
