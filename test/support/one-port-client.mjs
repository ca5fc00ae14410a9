// Downloads files in lockstep, all from one port, as some firmware does, and writes their bytes to stdout. Repeats what
// is not answered until its time is over, then exits with 1. Of `FILE#BLOCKS` it takes so many blocks, acknowledges
// them, and exits without a word.
//
//   node one-port-client.mjs SERVER PORT MS FILE[#BLOCKS]...
import { createSocket } from 'node:dgram';

const [server, port, ms, ...files] = process.argv.slice(2);
const AGAIN_MS = 200;
const BLOCK = 516;
const socket = createSocket('udp4');
const giveUp = setTimeout(() => process.exit(1), Number(ms));
let expected = 1;
let until = Infinity;
let last = Buffer.alloc(0);

function send(packet) {
  last = packet;
  socket.send(packet, 69, server);
}

/** Ends without process.exit(), which would discard what stdout has not taken yet. */
function finish() {
  clearTimeout(giveUp);
  clearInterval(repeat);
  socket.removeAllListeners('message');
  socket.send(last, 69, server, () => socket.close());
}

function ask() {
  const file = files.shift();
  if (file === undefined) return finish();
  const [name, blocks = Infinity] = file.split('#');
  until = Number(blocks);
  expected = 1;
  send(Buffer.from(`\0\x01${name}\0octet\0`, 'latin1'));
}

socket.on('message', (bytes) => {
  if (bytes.readUInt16BE(0) !== 3 || bytes.readUInt16BE(2) !== expected) return;
  process.stdout.write(bytes.subarray(4));
  send(Buffer.of(0, 4, bytes[2], bytes[3]));
  expected = (expected + 1) & 0xffff;
  if (expected > until) return finish();
  if (bytes.length < BLOCK) ask();
});
const repeat = setInterval(() => socket.send(last, 69, server), AGAIN_MS);
socket.bind(Number(port), ask);
