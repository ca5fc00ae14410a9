/** Transfers of a process that has ended, whose contents take time to open again. */
import { describe, expect, it } from 'vitest';
import type { Answer } from '../../src/content/types.ts';
import type { TransferPort } from '../../src/engine/types.ts';
import { VirtualClock } from '../../src/engine/virtual-clock.ts';
import type { LeftTransfer } from '../../src/pool/left-transfers.ts';
import { StateCells, TRANSFER_STATE } from '../../src/pool/state-cells.ts';
import { allocateTable } from '../../src/pool/table-region.ts';
import { Gate } from '../../src/server/gate.ts';
import type { AdmissionOptions, Launcher } from '../../src/server/launcher.ts';
import { Resolver } from '../../src/server/resolver.ts';
import { Resumer } from '../../src/server/resumer.ts';
import type { Transfer } from '../../src/server/transfer.ts';
import { shareBytes } from '../../src/bytes/shared-bytes.ts';

const FILE = shareBytes(new Uint8Array(5120));
const PEER = { address: '10.0.0.9', port: 2000 };

function left(identity: string): LeftTransfer {
  const plan = { size: 5120, blksize: 512, windowsize: 1, rollover: 0, timeoutMs: 1000, seed: 1 } as const;
  return {
    order: {
      slot: 5,
      serial: 1,
      local: '10.0.0.1',
      localPort: 69,
      peer: PEER,
      port: { fd: 9, peerWord: 0, addressWord: 0, shared: 'bound' },
      openedAt: 0,
      requestedAt: 0,
      place: { low: 0, high: 0, length: 5120 },
      ringBytes: 0,
      opening: undefined,
      plan: { ...plan, oack: false, patienceMs: 90_000, arrived: undefined },
    },
    recovery: { requestText: 'r', filename: 'f', mode: 'octet', identity, label: 'f', kind: undefined },
    text: undefined,
    state: TRANSFER_STATE.running,
    blocks: 3,
    retransmits: 0,
    dataRetransmits: 0,
    roundTripMs: undefined,
    silentMs: 0,
    requestedAgoMs: 0,
    openedAgoMs: 0,
  };
}

describe.each([
  ['the same', '"1"'],
  ['another', '"2"'],
])('a transfer whose file is opened again as %s file', (_name, identity) => {
  it.each([
    ['goes on, or its client gets an ERROR', false],
    ['ends without a packet if its client has begun another transfer meanwhile', true],
  ])('%s', async (_what, isAbandoned) => {
    const events: string[] = [];
    const cells = new StateCells(allocateTable(8));
    const gate = new Gate<Transfer>(cells);
    let answer: (content: Answer) => void = () => {};
    const opened = new Promise<Answer>((resolve) => {
      answer = resolve;
    });
    const port: Partial<TransferPort> = {
      local: { address: '10.0.0.1', port: 69 },
      control: (bytes) => events.push(`packet ${bytes[1]}`),
      release: () => events.push('port released'),
    };
    const options = {
      clock: new VirtualClock(),
      resolver: new Resolver([{ open: () => opened }]),
      pool: { cells },
      ports: { adopt: () => port },
    } as unknown as AdmissionOptions;
    const launcher = { resume: () => events.push('goes on') } as unknown as Launcher;
    const resumer = new Resumer(options, gate, launcher, () => 1, {
      begun: () => {},
      join: () => {},
      release: () => events.push('released'),
    });
    const resumed = resumer.resume([left('"1"')]);
    const [transfer] = gate.values();
    transfer!.abandoned = isAbandoned;
    answer({
      kind: 'content',
      handle: FILE,
      label: 'f',
      validators: () => ({ etag: identity }),
      release: () => events.push('content released'),
    });
    await resumed;
    const goesOn = identity === '"1"' ? ['goes on'] : ['content released', 'packet 5', 'port released', 'released'];
    const ends = identity === '"1"' ? [] : ['content released'];
    expect(events).toEqual(isAbandoned ? [...ends, 'port released', 'released'] : goesOn);
  });
});
