/**
 * A server whose observer throws at the first of many requests that are read together. It runs in a separate process,
 * because that error is an uncaught exception. Prints the number of answered clients, and the errors thrown.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { shareBytes } from '../../dist/bytes/shared-bytes.js';
import { createServer, ownSource } from '../../dist/index.js';

const CLIENTS = 40;
const thrown = [];
process.on('uncaughtException', (error) => thrown.push(error.message));

const handle = shareBytes(new Uint8Array(100));
let started = 0;
const server = await createServer({
  listen: [{ address: '127.0.0.1', port: 0 }],
  serve: [ownSource({ open: () => ({ kind: 'content', handle, label: 'x', release: () => {} }) })],
  observer: {
    onStart: () => {
      if (started++ === 0) throw new Error('the observer failed');
    },
  },
});
const { port } = server.addresses[0];
const sockets = Array.from({ length: CLIENTS }, () => createSocket('udp4').bind(0, '127.0.0.1'));
await Promise.all(sockets.map((socket) => once(socket, 'listening')));
const answers = sockets.map((socket) => once(socket, 'message'));
const request = Buffer.from('\0\x01x\0octet\0', 'latin1');
await Promise.all(
  sockets.map(
    (socket) =>
      new Promise((resolve) => {
        socket.send(request, port, '127.0.0.1', resolve);
      }),
  ),
);
await Promise.all(answers);
for (const socket of sockets) socket.close();
await server.stop(0);
process.stdout.write(JSON.stringify({ answered: answers.length, thrown }));
