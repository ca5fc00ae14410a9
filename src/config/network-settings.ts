/** Settings for addresses, packets and limits per client. */
import { availableParallelism } from 'node:os';
import { TFTP_PORT } from '../protocol/request.ts';
import { blksizeRules } from './blksize-rules.ts';
import { section, setting } from './setting.ts';
import {
  addresses,
  addressOrOff,
  DAY_MS,
  duration,
  networks,
  oneOf,
  portRange,
  size,
  wholeNumber,
  yesOrNo,
} from './value-kind.ts';

/** Usual port of health, metrics and the live page; clients of that address use it as well. */
export const ADMIN_PORT = 6970;

/** Cap on the numbers of transfers that settings may name. */
const transfers = wholeNumber(1, 1_000_000);

export const ADDRESSES = section('Addresses and threads', {
  listen: setting({
    kind: addresses,
    default: [
      { address: '0.0.0.0', port: TFTP_PORT },
      { address: '::', port: TFTP_PORT },
    ],
    help: 'address on which to answer TFTP requests',
    docs: [
      'The addresses on which the server answers requests.',
      'A wildcard stands for every address of its family.',
      'The server [waits](operations.md#what-is-not-there-yet) for an address that the machine does not have yet.',
    ],
  }),
  admin: setting({
    kind: addressOrOff,
    default: { address: '127.0.0.1', port: ADMIN_PORT },
    help: 'HTTP address for health, metrics and the live page',
    docs: [
      'The HTTP address for health, metrics and [the live page](observability.md).',
      'On an address other than loopback, everything that names a node requires [the token](observability.md#who-may-see-it).',
    ],
  }),
  workers: setting({
    kind: wholeNumber(1, 256),
    // Leaves one core to the main thread; a machine with a single core still gets a worker.
    default: () => Math.max(1, availableParallelism() - 1),
    defaultText: 'cores - 1, at least 1',
    help: 'threads that run transfers',
  }),
  engine: setting({
    kind: oneOf(['auto', 'linux', 'portable']),
    default: 'auto',
    help: 'how packets are sent and received',
    docs: [
      'How packets are sent and received.',
      '`auto` uses `linux` where it works, else `portable`, and the log says why.',
    ],
  }),
  dataPorts: setting({
    kind: portRange,
    defaultText: "the system's",
    help: 'ports that transfers use, for firewalls; linux engine only',
    docs: [
      'Linux engine: the ports that transfers use, for firewalls.',
      'Each transfer has a port of its own, so a local address can run as many transfers at once as there are ports; further requests wait.',
      "The system's ports are those of `net.ipv4.ip_local_port_range` without `ip_local_reserved_ports`.",
    ],
  }),
  singlePort: setting({
    kind: yesOrNo,
    default: false,
    help: 'run all transfers at the port that was asked, for NAT and load balancers; needs clients',
    docs: [
      'Run every transfer at the port that was asked (69), for networks that let only this port pass: NAT, Kubernetes Services, Docker, firewalls; see [one port](single-port.md).',
      'The setting needs `clients`, because [it weakens the protection against forged packets](security.md#one-port).',
      'An address is granted windows larger than 4 blocks only within an hour of a transfer that it has completed.',
    ],
  }),
  listenOnEachAddress: setting({
    kind: yesOrNo,
    default: false,
    help: 'open a socket for each local address; the portable engine always does',
    docs: ['Linux engine: open a listening socket for each local address, as the portable engine always does.'],
  }),
  answerBroadcast: setting({
    kind: yesOrNo,
    default: false,
    help: 'also answer requests sent to broadcast addresses',
    docs: [
      "Answer requests sent to 255.255.255.255 or to a network's broadcast address, from the server's address in the client's network; RFC 1123 §4.2.3.5 wants such requests ignored.",
      'With this setting each local address has a listening socket.',
    ],
  }),
});

export const LIMITS = section('Clients and limits', {
  sessions: setting({
    kind: transfers,
    default: 10_000,
    help: 'transfers at once',
    docs: ['Transfers at once, over all workers.', 'With the portable engine each takes a file descriptor.'],
  }),
  queue: setting({
    kind: wholeNumber(1, 10_000_000),
    default: 65_536,
    help: 'requests that may wait for a session',
    docs: ['Requests that are being looked up or wait for a session.', 'Further requests stay unanswered.'],
  }),
  clients: setting({
    kind: networks(256),
    default: [],
    defaultText: 'all',
    help: 'network whose addresses may send requests',
    docs: [
      'Networks whose addresses may send requests; all other addresses get no answer.',
      'An empty list allows all addresses.',
      'The bits behind the prefix must be zero: `192.0.2.0/24` is a network, `192.0.2.1/24` is a mistake.',
    ],
  }),
  halfOpen: setting({
    kind: transfers,
    default: 2048,
    help: 'half-open transfers at once: their client has not answered yet',
    docs: [
      'Half-open transfers at once: those whose client has not answered yet.',
      'Above this limit, each new one makes the server give up another at random: one whose client has had a second to answer, preferably in a network that has more than its share.',
      'Above twice the limit, a quarter of a second suffices; where no such transfer is found, the new request stays unanswered and its client asks again.',
      'Keep the limit below a quarter of `sessions`.',
    ],
  }),
  halfOpenPerNetwork: setting({
    kind: transfers,
    default: 512,
    help: 'half-open transfers at once from one /24, or IPv6 /64',
    docs: [
      'Half-open transfers at once from one /24 (IPv6: /64).',
      'Above this limit, the server gives up transfers of that network as described for `halfOpen`.',
    ],
  }),
  halfOpenPerAddress: setting({
    kind: transfers,
    default: 64,
    help: 'half-open transfers at once from one address',
    docs: [
      'Half-open transfers at once from one client address, unless it is in `sharedNetworks`.',
      'Above this limit, the server gives up transfers of that address as described for `halfOpen`; above twice the limit it gives up any of them, and always answers the newest.',
    ],
  }),
  sessionsPerAddress: setting({
    kind: transfers,
    default: 256,
    help: 'transfers at once from one address, half-open ones not counted',
    docs: [
      'Transfers at once, half-open ones not counted, from one client address, unless it is in `sharedNetworks`.',
      'Further requests stay unanswered.',
    ],
  }),
  sessionsPerNetwork4: setting({
    kind: transfers,
    default: 2048,
    help: 'transfers at once from one IPv4 /24, half-open ones not counted',
    docs: [
      'Transfers at once, half-open ones not counted, from one IPv4 /24.',
      'Further requests stay unanswered, except from addresses that completed a transfer in the last 10 minutes.',
    ],
  }),
  sessionsPerNetwork6: setting({
    kind: transfers,
    default: 8192,
    help: 'transfers at once from one IPv6 /64, half-open ones not counted',
    docs: [
      'Transfers at once, half-open ones not counted, from one IPv6 /64.',
      'Further requests stay unanswered, except from addresses that completed a transfer in the last 10 minutes.',
    ],
  }),
  patienceMs: setting({
    key: 'patience',
    kind: duration(1000, DAY_MS, '90s'),
    default: 90_000,
    help: 'how long a transfer may make no progress',
    docs: [
      'How long a transfer may make no progress before the server gives it up.',
      'A [route](boot-configs.md) may have its own value, for devices that write to flash between two blocks.',
    ],
  }),
  minBytesPerSecond: setting({
    key: 'minRate',
    kind: size('bytes per second, such as 16KiB, or 0'),
    default: 0,
    help: 'bytes per second below which a transfer ends while requests wait; 0: off',
    docs: [
      'Bytes per second.',
      'While requests wait for a session, the server ends transfers that have run for 10 s or longer at a lower average.',
      'With 0 it ends none for being slow.',
      'A transfer that makes progress is never ended for its age.',
    ],
  }),
});

export const OPTIONS = section('TFTP options', {
  maxWindowsize: setting({
    kind: wholeNumber(1, 32_767),
    default: 64,
    help: 'largest windowsize granted, in blocks',
  }),
  maxBlksize: setting({
    kind: blksizeRules,
    default: [],
    defaultText: "by the route's MTU",
    help: 'largest blksize granted, in bytes; CIDR=N for one network',
    docs: [
      'The largest blksize granted, in bytes.',
      'A plain number holds for all clients, `192.0.2.0/24=1228` for those of a network; where several networks contain a client, the smallest one decides.',
      "A blksize above the MTU makes IP fragments, which firmware often can't put together.",
    ],
  }),
  acknowledgeTimeout: setting({
    kind: yesOrNo,
    default: false,
    help: "grant the options timeout and utimeout: the client's interval replaces the measured one",
    docs: [
      'Grant the options `timeout` and `utimeout`.',
      'A lost packet then costs the interval that the client named.',
    ],
  }),
});
