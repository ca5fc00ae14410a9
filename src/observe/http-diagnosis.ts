/**
 * The verdicts on transfers over HTTP, where the causes known from TFTP do not apply: there are no packets to look at, a
 * connection proves the path, and a client may ask for a part of a file, or for its size alone. Pure.
 */
import { HTTP_FAULTS } from '../http/types.ts';
import type { Area, NodeState, Verdict } from '../live/wire.ts';

export type Found = Omit<Verdict, 'state'>;

/** @param headline one sentence: how long it has taken nothing of which file. */
export function takesNothing(headline: string): Found {
  return {
    area: 'network',
    headline,
    meaning:
      'If other nodes stop in the same way, small packets get through and full ones do not: check the MTU of the switches, tunnels and bridges on the path. If it is the only one, it was switched off, was reset or hangs: check its console.',
  };
}

/** A HEAD, or a request for a file that is newer than the copy of the client. */
export function onlyHead(file: string, state: NodeState): Found {
  const isBetween = state === 'between';
  return {
    area: 'nodes',
    headline: `It asked about ${file} without its bytes, and ${isBetween ? 'has yet to ask for more' : 'asked for nothing after that'}.`,
    meaning: isBetween
      ? 'UEFI firmware asks for the size first (HEAD); nothing is wrong so far.'
      : 'UEFI firmware asks for the size first (HEAD). If the node stopped there, it takes no file of that size or kind: check the architecture, the free memory, and for .iso and .img files the RAM disk support of the firmware. A client that has a current copy of the file needs no more.',
  };
}

/** @param how ` after 400 kB of 1.00 MB`, or empty. */
export function closed(file: string, how: string): Found {
  return {
    area: 'nodes',
    headline: `It closed the connection in the middle of ${file}${how}.`,
    meaning:
      'The loader gave up or was reset, or has no room for the file: check its console and its memory. Some loaders read only the beginning of a file and then close the connection; they ask for it again.',
  };
}

/** @returns the area and the cause of a transfer that the server ended; undefined: TFTP has the same cause. */
export function causeOverHttp(fault: string | undefined): readonly [area: Area, meaning: string] | undefined {
  switch (fault) {
    case HTTP_FAULTS.stopped:
      return ['server', 'The server was being stopped, and the drain time (drain) was over.'];
    case HTTP_FAULTS.threadLost:
      return [
        'server',
        'A thread that sends over HTTP died, with all its connections; another has replaced it. The log says why it died (“HTTP thread lost”).',
      ];
    case HTTP_FAULTS.unreadable:
      return [
        'files',
        'The file was truncated while it was sent, or its disk reported an error. The log says which. Replace files by a rename (mv) and never write into them.',
      ];
    default:
      return undefined;
  }
}
