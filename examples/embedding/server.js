// A server in a program of your own, with configs made for nodes, boot sets and files. To run it in a clone:
// `npm run build`, then `node examples/embedding/server.js STORE`, with a STORE made by
// `reveille publish rack/install DIR --store STORE`.
import { fileURLToPath } from 'node:url';
import { bootSets, createServer, directory, templates } from 'reveille';

const folder = fileURLToPath(new URL('.', import.meta.url));
const [store] = process.argv.slice(2);

const routes = [
  // This route chooses the version that a node boots: the template names its kernel and initrd.
  { match: 'pxelinux.cfg/01-{mac}', template: 'pxelinux.liquid', ...(store ? { channel: 'rack/install' } : {}) },
  // A handler is your own function, in a module that each render thread loads.
  { match: 'status/{ip}', handler: 'status.js' },
];

const server = await createServer({
  listen: [{ address: '127.0.0.1', port: Number(process.env.PORT ?? 6969) }],
  serve: [
    templates(routes, { base: `${folder}templates` }),
    ...(store ? [bootSets(store)] : []),
    directory(`${folder}files`),
  ],
  observer: {
    onTransfer: ({ file, bytes, outcome }) => process.stdout.write(`${file}: ${bytes} bytes, ${outcome}\n`),
    onRefusal: ({ filename, code }) => process.stdout.write(`${JSON.stringify(filename)}: error ${code}\n`),
    onWarning: (message, detail) => process.stderr.write(`${message} ${JSON.stringify(detail)}\n`),
  },
});
process.stdout.write(`listening on ${server.addresses[0].address}:${server.addresses[0].port}\n`);

// Worker threads must close their sockets before the process ends.
process.once('SIGTERM', () => void server.stop(5000));
process.once('SIGINT', () => void server.stop(5000));
