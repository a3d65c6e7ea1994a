/*
 * The definitions as a module sees them: each line is right, but for those that must not compile. Compiled, never
 * run.
 */
import commy, {
    Algorithm,
    CommyError,
    CommyMesh,
    Health,
    NotFoundError,
    Status,
    type ServiceInfo,
    type Target,
    version,
} from 'commy';

const mesh: CommyMesh = new CommyMesh('node', 8080);
await mesh.initialize();
await mesh.start();
await mesh.registerService('auth', 'auth-1', '127.0.0.1', 3001);
await mesh.registerService({ name: 'a', id: 'b', endpoint: 'unix:/x', tags: ['t'], ttlMs: 5000n, metadata: { a: 1 } });

const services: ServiceInfo[] = await mesh.discoverServices('auth');
const at: bigint | undefined = services[0]?.registeredAtNs;
const target: Target = mesh.find('auth-1');
const { targets, codes } = mesh.findMany(['auth-1', 'nobody']);
const first: Target | null | undefined = targets[0];
const missing: boolean = codes[1] === Status.NOT_FOUND;
const statistics = await mesh.getStatistics();
const requests: bigint = statistics.totalRequests;
const total: number = statistics.totalServices;
const token: bigint = mesh.beginRequest(target);
mesh.endRequest(token, 1000, true);
mesh.report(target.reference, 1000n, false);
const healthy: boolean = target.status === Health.HEALTHY;
await mesh.configureLoadBalancer({
    algorithm: Algorithm.CONSISTENT_HASH,
    circuitBreaker: { threshold: 5, timeoutMs: 1000 },
});
const length: number = await mesh.request('auth', async ({ endpoint }) => endpoint.length, { clientId: 'c' });
const next: bigint = await mesh.wait(null, 0, { timeoutMs: 10, signal: AbortSignal.timeout(5) });
const other = new CommyMesh(null, null, { readOnly: true, mesh: 'other', capacity: 64 });
const code: number = new NotFoundError('x').code;
const same: typeof CommyMesh = commy.CommyMesh;
const error: CommyError = new CommyError('x', 5, 'NOT_FOUND');
const dispose: () => Promise<void> = mesh[Symbol.asyncDispose].bind(mesh);

// @ts-expect-error a port is a number
new CommyMesh('node', '8080');
// @ts-expect-error a mesh without options needs a port
new CommyMesh('node');
// @ts-expect-error a service has an endpoint
await mesh.registerService({ name: 'a', id: 'b' });
// @ts-expect-error a find is not a promise
mesh.find('a').then();
// @ts-expect-error 64-bit counters are bigint
const counter: number = statistics.totalRequests;
// @ts-expect-error there is no such option
new CommyMesh('node', 1, { readonly: true });

export {
    at,
    code,
    counter,
    dispose,
    error,
    first,
    healthy,
    length,
    missing,
    next,
    other,
    requests,
    same,
    total,
    version,
};
