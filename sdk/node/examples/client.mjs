/*
 * Requests over the instances of a name, and what came of them: node client.mjs [NAME [REQUESTS]]
 *
 * request() selects an instance for each and counts it for the whole host: in flight, how long it took, whether it failed.
 */
import { CommyMesh, NotFoundError } from 'commy';

const [name = 'hello', requests = '10'] = process.argv.slice(2);
const mesh = new CommyMesh(`client-${process.pid}`, 1);
await mesh.initialize();

try {
    for (let i = 0; i < Number(requests); i++) {
        const text = await mesh.request(name, async ({ endpoint, port }) => {
            const response = await fetch(`http://${endpoint}:${port}/`);
            if (!response.ok) throw new Error(`${endpoint}:${port} answered ${response.status}`);
            return response.text();
        });
        process.stdout.write(text);
    }
    const median = await mesh.getLatency(name, 0.5);
    const { successfulRequests, failedRequests } = await mesh.getStatistics();
    console.log(
        `${successfulRequests} succeeded, ${failedRequests} failed; half of them within ${Number(median) / 1e6} ms`,
    );
} catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    console.error(`nobody offers ${name}: start node server.mjs ${name}`);
    process.exitCode = 1;
} finally {
    await mesh.cleanup();
}
