/**
 * The container image as its users see it: paths, user, command, ports, health check. The script that writes the image
 * and the test of the Containerfile read it.
 */

/** Not root, and the number that other images without a shell use as well. */
export const USER = { name: 'reveille', id: 65_532 } as const;

export const PROGRAM = '/usr/lib/reveille';
export const COMMAND = '/usr/bin/reveille';
export const NODE = '/usr/bin/node';
export const CONFIG = '/etc/reveille/reveille.yaml';
/** The folders of the config, in which the user writes and reads. */
export const STORE = '/var/lib/reveille';
export const FILES = '/srv/tftp';
/** Certificates of Debian's ca-certificates, in one file. */
export const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';

/**
 * Value of `security.capability` for CAP_NET_BIND_SERVICE (bit 10), permitted and effective: revision 2 of struct
 * vfs_cap_data in linux/capability.h.
 */
export const BIND_SERVICE = Buffer.from('0100000200040000000000000000000000000000', 'hex');

/** Labels that are the same for every version. */
export const LABELS = {
  'org.opencontainers.image.title': 'Reveille',
  'org.opencontainers.image.description': 'A TFTP and HTTP boot server for whole racks at once',
  'org.opencontainers.image.licenses': 'Apache-2.0',
} as const;

/** Intervals in seconds. The server reads a large store or inventory before it is healthy. */
export const HEALTH_CHECK = {
  command: ['reveille', 'health', '--config', CONFIG],
  interval: 30,
  timeout: 15,
  startPeriod: 60,
  retries: 3,
} as const;

const NANOSECONDS = 1_000_000_000;

/** The part of the image's config that engines apply to containers (OCI image specification, and Docker's health check). */
export const RUN_CONFIG = {
  User: `${USER.id}:${USER.id}`,
  ExposedPorts: { '69/udp': {}, '6970/tcp': {} },
  Env: ['PATH=/usr/bin', `SSL_CERT_FILE=${CERTIFICATES}`, 'NODE_USE_SYSTEM_CA=1'],
  Entrypoint: ['reveille'],
  Cmd: ['keeper', '--', 'serve', '--config', CONFIG],
  Volumes: { [STORE]: {} },
  WorkingDir: '/',
  StopSignal: 'SIGTERM',
  Healthcheck: {
    Test: ['CMD', ...HEALTH_CHECK.command],
    Interval: HEALTH_CHECK.interval * NANOSECONDS,
    Timeout: HEALTH_CHECK.timeout * NANOSECONDS,
    StartPeriod: HEALTH_CHECK.startPeriod * NANOSECONDS,
    Retries: HEALTH_CHECK.retries,
  },
} as const;
