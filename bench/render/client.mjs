// The nodes of bench/render, in a process of their own: receives an order as a message, and answers with a message.
// Packets are made by hand.
import { createSocket } from 'node:dgram';

const RESEND_MS = 110;
const ACK = (block) => Buffer.from([0, 4, (block >> 8) & 255, block & 255]);

function readRequest(name, blksize) {
  return Buffer.from(`\0\x01${[name, 'octet', 'tsize', '0', 'blksize', blksize].map((word) => `${word}\0`).join('')}`);
}

async function openSocket(onMessage) {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 65_536 });
  socket.on('message', onMessage);
  await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return socket;
}

/** Each node asks for its config at its time, as PXELINUX does. */
async function configs({ port, nodes, spreadMs, names, expected, giveUpMs }) {
  const firstMs = [];
  const wholeMs = [];
  let resent = 0;
  let wrong = 0;
  let errors = 0;
  const sockets = [];
  const runs = [];
  for (let node = 0; node < nodes; node++) {
    let onMessage = () => {};
    const socket = await openSocket((bytes, from) => onMessage(bytes, from));
    sockets.push(socket);
    runs.push(
      (startAt) =>
        new Promise((resolve) => {
          const dueMs = startAt + (spreadMs * node) / nodes;
          const request = readRequest(names(node), '1408');
          let sentAt = 0;
          let timer;
          let tsize = -1;
          let waitMs = RESEND_MS;
          const end = () => {
            clearTimeout(timer);
            clearTimeout(late);
            resolve();
          };
          const late = setTimeout(
            () => {
              errors++;
              end();
            },
            dueMs - performance.now() + giveUpMs,
          );
          const ask = () => {
            socket.send(request, port, '127.0.0.1');
            timer = setTimeout(() => {
              resent++;
              waitMs *= 2;
              ask();
            }, waitMs);
          };
          onMessage = (bytes, from) => {
            const now = performance.now();
            clearTimeout(timer);
            if (bytes[1] === 6) {
              if (tsize < 0) firstMs.push(now - sentAt);
              tsize = Number(/tsize\0([0-9]+)/.exec(bytes.toString('latin1'))?.[1]);
              socket.send(ACK(0), from.port, from.address);
            } else if (bytes[1] === 3) {
              const text = bytes.toString('utf8', 4);
              if (bytes.length - 4 !== tsize || !text.includes(expected(node))) wrong++;
              wholeMs.push(now - sentAt);
              socket.send(ACK(1), from.port, from.address);
              end();
            } else {
              errors++;
              end();
            }
          };
          setTimeout(() => {
            sentAt = performance.now();
            ask();
          }, dueMs - performance.now());
        }),
    );
  }
  const startAt = performance.now() + 200;
  await Promise.all(runs.map((run) => run(startAt)));
  for (const socket of sockets) socket.close();
  return { firstMs, wholeMs, resent, wrong, errors };
}

/** Runs a few downloads, block by block, and measures the time from an ACK to the next DATA. */
async function turnaround({ port, name, transfers, forMs }) {
  const gapsMs = [];
  const until = performance.now() + forMs;
  const one = async () => {
    while (performance.now() < until) {
      await new Promise((resolve) => {
        let sentAt = 0;
        let last = 0;
        void openSocket((bytes, from) => {
          const now = performance.now();
          if (bytes[1] === 3) {
            const block = bytes.readUInt16BE(2);
            if (block !== ((last + 1) & 0xffff)) return;
            last = block;
            if (sentAt > 0) gapsMs.push(now - sentAt);
            sentAt = performance.now();
            socket.send(ACK(block), from.port, from.address);
            if (bytes.length < 1412 || now > until) {
              socket.close();
              resolve();
            }
          } else if (bytes[1] === 6) socket.send(ACK(0), from.port, from.address);
          else resolve();
        }).then((opened) => {
          socket = opened;
          socket.send(readRequest(name, '1408'), port, '127.0.0.1');
        });
        let socket;
      });
    }
  };
  await Promise.all(Array.from({ length: transfers }, one));
  return { gapsMs };
}

/** Requests one name after the other at a fixed rate, and ignores the answers. */
async function pester({ port, prefix, perS, forMs }) {
  const socket = await openSocket((bytes, from) => {
    if (bytes[1] === 6) socket.send(Buffer.from('\0\x05\0\0closed\0'), from.port, from.address);
  });
  let asked = 0;
  const startAt = performance.now();
  const sockets = await Promise.all(Array.from({ length: 64 }, () => openSocket(() => {})));
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      const now = performance.now() - startAt;
      if (now > forMs) {
        clearInterval(timer);
        resolve();
        return;
      }
      for (; asked < (now * perS) / 1000; asked++) {
        sockets[asked % sockets.length].send(readRequest(`${prefix}/${asked}`, '1408'), port, '127.0.0.1');
      }
    }, 5);
  });
  for (const each of [socket, ...sockets]) each.close();
  return { asked };
}

const macOf = (node) =>
  `52-54-00-00-${((node >> 8) & 255).toString(16).padStart(2, '0')}-${(node & 255).toString(16).padStart(2, '0')}`;

async function answer({ id, kind, ...order }) {
  const work = {
    configs: () =>
      configs({
        ...order,
        names: (node) => `pxelinux.cfg/01-${macOf(node)}`,
        expected: (node) => `hostname=node${node} `,
      }),
    turnaround: () => turnaround(order),
    pester: () => pester(order),
  }[kind];
  process.send({ id, result: await work() });
}

process.on('message', (message) => void answer(message));
