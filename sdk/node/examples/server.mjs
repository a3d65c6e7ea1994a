/*
 * An HTTP server that registers itself: node server.mjs [NAME]
 *
 * It listens on a port that the system chooses. Start several; end them however you like: the instant one is gone, no
 * client selects it any more.
 */
import { createServer } from 'node:http';
import { CommyMesh } from 'commy';

const name = process.argv[2] ?? 'hello';
const server = createServer((request, response) => response.end(`hello from ${process.pid}\n`));
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const { port } = server.address();

const mesh = new CommyMesh(`${name}-${process.pid}`, port);
await mesh.initialize();
await mesh.registerService({ name, id: `${name}-${process.pid}`, endpoint: '127.0.0.1', port, tags: ['http'] });
console.log(`${name} listens on 127.0.0.1:${port}`);

for (const signal of ['SIGINT', 'SIGTERM'])
    process.once(signal, async () => {
        await mesh.cleanup(); // no new requests come
        server.close();
        server.closeIdleConnections();
    });
