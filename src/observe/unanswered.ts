/**
 * Why a request got no answer, in words: what happened, where to look, and the settings that change it. One entry for
 * each reason that a server has. What src/storm says of the same reasons is about sums over a storm; a test holds the
 * settings of both together.
 */
import type { Area } from '../live/wire.ts';
import type { Ignored } from '../server/types.ts';

interface UnansweredWords {
  /** Ends a sentence that begins with the request. */
  readonly what: string;
  readonly area: Area;
  /** Whole sentences. Settings are named as in the config file. */
  readonly meaning: string;
}

const ASKS_AGAIN = 'The node asks again until it loses its patience.';

export const UNANSWERED: Readonly<Record<Ignored, UnansweredWords>> = {
  repeated: {
    what: 'it repeats a request that is no longer remembered',
    area: 'nodes',
    meaning:
      'Its first request has been forgotten since, and the transfer that it began runs or waits; nothing says that anything is wrong.',
  },
  queueFull: {
    what: 'too many requests wait',
    area: 'server',
    meaning: `As many requests wait for a session as may (queue), and as many transfers run as may (sessions). ${ASKS_AGAIN}`,
  },
  expired: {
    what: 'it waited for a session and stopped asking',
    area: 'server',
    meaning:
      'No session (sessions), or no port of the address that it asked (dataPorts), was free while the node went on asking. It lost its patience, or was switched off.',
  },
  draining: {
    what: 'the server is stopping',
    area: 'server',
    meaning:
      'The server is being stopped and takes no new requests; running transfers may go on for a while (drain). The node asks again, and gets its answer if a server is back before it loses its patience.',
  },
  busy: {
    what: 'the file could not be read just then, or there was no memory for it',
    area: 'files',
    meaning: `The file could not be read or made, or there was no memory for it (memoryLimit). The log says why a file could not be read. ${ASKS_AGAIN}`,
  },
  source: {
    what: 'it came from a port that no client asks from',
    area: 'requests',
    meaning:
      'It came from port 0 or from the port of a service that answers whatever it gets (chargen, DNS, NTP, SNMP): such a request is forged, or a NAT on the way here gives out these ports. No setting changes that.',
  },
  client: {
    what: 'its address is in none of the networks that may ask',
    area: 'server',
    meaning:
      'Only the networks in the setting clients get answers, and this address is in none of them. If the node should boot here, add its network, or see why DHCP gave it this address.',
  },
  unreachable: {
    what: 'the server has no way to this address, or it has just used every free port',
    area: 'network',
    meaning: `The system refused to send to that address: no route leads there, or a firewall of this machine forbids it; or the port that the node asks from has just had a transfer on every free port of the server (dataPorts). See \`ip route get ADDRESS\` on this machine. ${ASKS_AGAIN}`,
  },
  unanswered: {
    what: 'nobody answered, and others needed its place',
    area: 'network',
    meaning: `More transfers than may wait at once had no answer from their clients, of all networks (halfOpen), of this one (halfOpenPerNetwork) or of this address (halfOpenPerAddress), or memory was short. Replies are lost on the way back, requests are forged, or more nodes began to boot in a quarter of a second than twice the limit. ${ASKS_AGAIN}`,
  },
  addressFull: {
    what: 'its address has its share of transfers',
    area: 'server',
    meaning: `As many transfers of that address run as may (sessionsPerAddress). If many nodes stand behind it (NAT), name it in sharedNetworks. ${ASKS_AGAIN}`,
  },
  prefixFull: {
    what: 'its network has its share of transfers',
    area: 'server',
    meaning: `As many transfers of its network run as may (sessionsPerNetwork4 of a /24, sessionsPerNetwork6 of a /64). ${ASKS_AGAIN}`,
  },
};

export function unansweredWords(reason: Ignored): string {
  return `left unanswered: ${UNANSWERED[reason].what}`;
}
