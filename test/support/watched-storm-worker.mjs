// The storm's unmodified thread, which also notes every pause longer than QUIET_MS between two new blocks of a transfer,
// and tells them at the end of its share.
import { BroadcastChannel } from 'node:worker_threads';
import { LinuxEngine } from '../../dist/engine/linux/engine.js';
import run from '../../dist/storm/run/worker.js';

const QUIET_MS = 20;
const OPCODE_DATA = 3;
const now = () => Number(process.hrtime.bigint()) / 1e6;

/** Each transfer with its first and last new block, and the pauses between. */
const transfers = [];

const { prototype } = LinuxEngine;
const link = Object.getOwnPropertyDescriptor(prototype, 'link').value;
prototype.link = function watched(options, receiver) {
  const transfer = { from: 0, to: 0, pauses: [] };
  let last = 0;
  const onDatagram = receiver.onDatagram.bind(receiver);
  receiver.onDatagram = (bytes, length) => {
    if (bytes[1] === OPCODE_DATA) {
      const block = (bytes[2] << 8) | bytes[3];
      if (block === ((last + 1) & 0xffff) || (last === 0xffff && block === 1)) {
        const at = now();
        if (transfer.from === 0) {
          transfer.from = at;
          transfers.push(transfer);
        } else if (at - transfer.to > QUIET_MS) {
          transfer.pauses.push([transfer.to, at]);
        }
        transfer.to = at;
        last = block;
      }
    }
    onDatagram(bytes, length);
  };
  return link.call(this, options, receiver);
};

export default async function watchedRun(order) {
  const result = await run(order);
  const channel = new BroadcastChannel('pauses');
  channel.postMessage(transfers);
  channel.close();
  return result;
}
