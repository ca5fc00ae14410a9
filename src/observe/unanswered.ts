/**
 * Why a request got no answer, in words: what happened, where to look, and the settings that change it. One entry for
 * each reason that a server has. What src/storm says of the same reasons is about sums over a storm; a test holds the
 * settings of both together.
 */
import type { Area } from '../live/wire.ts';
import type { Ignored, Protocol } from '../server/types.ts';

export interface UnansweredWords {
  /** Ends a sentence that begins with the request. */
  readonly what: string;
  readonly area: Area;
  /** Whole sentences. Settings are named as in the config file. */
  readonly meaning: string;
}

const ASKS_AGAIN = 'The node asks again until it gives up.';

export const UNANSWERED: Readonly<Record<Ignored, UnansweredWords>> = {
  repeated: {
    what: 'it repeats an earlier request',
    area: 'nodes',
    meaning:
      'The earlier request is no longer remembered. Its transfer is running or waiting; this alone does not mean that anything is wrong.',
  },
  queueFull: {
    what: 'too many requests wait',
    area: 'server',
    meaning: `The maximum number of requests is waiting for a session (queue), and the maximum number of transfers is running (sessions). ${ASKS_AGAIN}`,
  },
  expired: {
    what: 'it waited for a session and stopped asking',
    area: 'server',
    meaning:
      'No session (sessions), or no port of the address that the node asked (dataPorts), became free before the node stopped asking. It gave up, or was switched off.',
  },
  draining: {
    what: 'the server is stopping',
    area: 'server',
    meaning:
      'The server is being stopped and accepts no new requests; running transfers may continue for the drain time (drain). The node asks again, and gets an answer if a server is back before it gives up.',
  },
  busy: {
    what: 'the file could not be read, or there was not enough memory for it',
    area: 'files',
    meaning: `The file could not be read or rendered, or there was not enough memory for it (memoryLimit). The log says why a file could not be read. ${ASKS_AGAIN}`,
  },
  source: {
    what: 'it came from a port that no TFTP client uses',
    area: 'requests',
    meaning:
      'It came from port 0 or from the port of a service that answers every datagram (chargen, DNS, NTP, SNMP). Such a request is forged, or a NAT on the path assigns these ports. No setting changes that.',
  },
  client: {
    what: 'its address is in none of the allowed networks',
    area: 'server',
    meaning:
      'Only addresses in the networks of the setting clients get answers, and this address is in none of them. If the node should boot here, add its network to the setting, or find out why DHCP gave it this address.',
  },
  unreachable: {
    what: 'the server has no route to this address, or no free port for it',
    area: 'network',
    meaning: `Either the system refused to send to this address, because there is no route or a firewall of the server forbids it; or the port that the node asks from has just had a transfer on every free port of the server (dataPorts). Check \`ip route get ADDRESS\` on the server. ${ASKS_AGAIN}`,
  },
  unanswered: {
    what: 'the node did not answer, and other transfers needed its place',
    area: 'network',
    meaning: `Too many transfers had no answer from their clients: in all (halfOpen), in this network (halfOpenPerNetwork) or at this address (halfOpenPerAddress), or memory was short. Replies are lost on the path back, requests are forged, or in a quarter of a second more nodes began to boot than twice the limit. ${ASKS_AGAIN}`,
  },
  addressFull: {
    what: 'its address has as many transfers as it may have',
    area: 'server',
    meaning: `The maximum number of transfers for one address is running (sessionsPerAddress). If many nodes share this address (NAT), add it to sharedNetworks. ${ASKS_AGAIN}`,
  },
  prefixFull: {
    what: 'its network has as many transfers as it may have',
    area: 'server',
    meaning: `The maximum number of transfers for one network is running (sessionsPerNetwork4 for a /24, sessionsPerNetwork6 for a /64). ${ASKS_AGAIN}`,
  },
};

const BUSY_OVER_HTTP: UnansweredWords = {
  ...UNANSWERED.busy,
  meaning:
    'The file could not be read or rendered within 3 s, or there was not enough memory for it (memoryLimit). The log says why. Some clients ask again after a 503 (iPXE, curl with --retry); most firmware gives up.',
};

const GONE_OVER_HTTP: UnansweredWords = {
  what: 'its connection ended before the answer began',
  area: 'nodes',
  meaning:
    'The node was reset, or lost its patience with a file that is slow to read or to render; or an HTTP thread of the server died, which the log says.',
};

/** @returns what a reason means over that protocol. HTTP has two: `busy`, and `unanswered` for a client that has gone. */
export function unansweredOver(protocol: Protocol, reason: Ignored): UnansweredWords {
  if (protocol === 'tftp') return UNANSWERED[reason];
  return reason === 'busy' ? BUSY_OVER_HTTP : GONE_OVER_HTTP;
}

/** Ends a sentence that begins with the request. */
export function unansweredWords(protocol: Protocol, reason: Ignored): string {
  const how = protocol === 'http' && reason === 'busy' ? 'answered with 503' : 'left unanswered';
  return `${how}: ${unansweredOver(protocol, reason).what}`;
}
