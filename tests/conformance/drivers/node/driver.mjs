/*
 * The driver of the Node.js SDK (see ../../README.md): every call through the package that `build` installed in
 * $BUILD.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';

const commy = createRequire(path.join(process.env.BUILD, 'package.json'))('commy');
const { CommyMesh, CommyError, Status } = commy;

/** What the caller gave names to. */
const meshes = new Map();
const tokens = new Map();
const watches = new Map();

/** A call that cannot be written in this language, or that names what nobody made. */
class Refused extends Error {
    constructor(code, message) {
        super(message);
        this.code = code;
    }
}

const none = new CommyMesh('none', 1); // never initialized: a handle that never was

function meshOf(args) {
    return meshes.get(args.mesh) ?? none;
}

function watchOf(args) {
    const watch = watches.get(args.watch);
    if (!watch) throw new Refused(Status.NO_HANDLE, `no watch was opened as ${args.watch}`);
    return watch;
}

function tokenOf(args) {
    if (!tokens.has(args.token)) throw new Refused(Status.INVALID, `no request was begun as ${args.token}`);
    return tokens.get(args.token);
}

/** 64-bit numbers come as decimal strings. */
function wide(value) {
    return typeof value === 'string' ? BigInt(value) : value;
}

/** Flags become options, of which there are as many as there are bits in use. */
function options(args, names) {
    const flags = args.flags ?? 0;
    if (flags < 0 || flags >= 2 ** names.length)
        throw new Refused(Status.INVALID, `flags ${flags} cannot be expressed`);
    return Object.fromEntries(names.map((name, bit) => [name, (flags & (1 << bit)) !== 0]));
}

function target(value) {
    const { reference, weight, status, port, endpoint } = value;
    return { reference: String(reference), weight, status, port, endpoint };
}

function info(value) {
    return {
        name: value.name,
        id: value.id,
        endpoint: value.endpoint,
        version: value.version,
        zone: value.zone,
        node_id: value.nodeId,
        tags: value.tags,
        weight: value.weight,
        owner_pid: value.ownerPid,
        status: value.status,
        admin: value.admin,
        port: value.port,
        registered_at_ns: String(value.registeredAtNs),
        metadata_bytes: String(value.metadataBytes),
        response_time_ms: value.responseTimeMs,
    };
}

function statistics(value) {
    return {
        total_services: value.totalServices,
        healthy_services: value.healthyServices,
        unhealthy_services: value.unhealthyServices,
        registered_services: value.registeredServices,
        total_requests: String(value.totalRequests),
        successful_requests: String(value.successfulRequests),
        failed_requests: String(value.failedRequests),
        average_response_time_ms: value.averageResponseTimeMs,
    };
}

function loadBalancer(args) {
    const { algorithm, enable_circuit_breaker, circuit_breaker_threshold, circuit_breaker_timeout_ms } = args;
    const circuitBreaker = { threshold: circuit_breaker_threshold, timeoutMs: wide(circuit_breaker_timeout_ms) };
    return { algorithm, circuitBreaker: enable_circuit_breaker ? circuitBreaker : undefined };
}

function health(args) {
    if (args.check_interval_ms === undefined) return null;
    const { max_failures: maxFailures, recovery_checks: recoveryChecks } = args;
    const [checkIntervalMs, timeoutMs] = [wide(args.check_interval_ms), wide(args.timeout_ms)];
    return { checkIntervalMs, timeoutMs, maxFailures, recoveryChecks };
}

function healthStatus({ status, responseTimeMs }) {
    return { status, response_time_ms: responseTimeMs };
}

async function statisticsOf(name, mesh) {
    const value = await mesh.getLoadBalancerStatistics(name);
    return {
        total: String(value.totalRequests),
        successful: String(value.successfulRequests),
        failed: String(value.failedRequests),
        average_ms: value.averageResponseTimeMs,
    };
}

/** The versions of so many changes, in the language's own way. */
async function changes({ name, count, timeout_ms }, mesh) {
    const signal = timeout_ms < 0 ? undefined : AbortSignal.timeout(timeout_ms);
    const versions = [];
    try {
        for await (const { version } of mesh.watch(name, { signal })) {
            versions.push(String(version));
            if (versions.length === count) break;
        }
    } catch (error) {
        if (error?.name !== 'TimeoutError') throw error;
        throw new Refused(Status.TIMED_OUT, `${versions.length} of ${count} changes came within ${timeout_ms} ms`);
    }
    return versions;
}

async function openAs(name, mesh) {
    await mesh.initialize();
    meshes.set(name, mesh);
}

/** Of each call: the method of the SDK that it stands for, and how it is made. */
const calls = {
    ffi_init: [commy.init, () => commy.init()],
    ffi_cleanup: [commy.cleanup, () => commy.cleanup()],
    ffi_version: [commy.version, () => commy.version()],
    status_string: [commy.statusString, (a) => commy.statusString(a.status)],
    create_mesh: [CommyMesh, (a) => openAs(a.mesh, new CommyMesh(a.node_id, a.listen_port))],
    open_mesh: [
        CommyMesh,
        (a) => {
            const { dir, group, capacity, mode, name: mesh } = a;
            const flags = options(a, ['readOnly', 'mustExist', 'mustNotExist']);
            return openAs(
                a.mesh,
                new CommyMesh(a.node_id, a.listen_port, { ...flags, mesh, dir, group, capacity, mode }),
            );
        },
    ],
    start_mesh: ['start', (a, mesh) => mesh.start()],
    stop_mesh: ['stop', (a, mesh) => mesh.stop()],
    is_mesh_running: ['isRunning', (a, mesh) => mesh.isRunning()],
    destroy_mesh: ['destroy', (a, mesh) => mesh.destroy()],
    get_node_id: ['getNodeId', (a, mesh) => mesh.getNodeId()],
    get_mesh_stats: ['getStatistics', async (a, mesh) => statistics(await mesh.getStatistics())],
    register_service_simple: ['registerService', (a, mesh) => mesh.registerService(a.name, a.id, a.endpoint, a.port)],
    register_service: [
        'registerService',
        (a, mesh) => {
            const { service_name: name, service_id: id, endpoint, port, metadata, version, zone, tags, weight } = a;
            const ttlMs = wide(a.ttl_ms);
            const flags = options(a, ['detached']);
            return mesh.registerService({
                ...flags,
                name,
                id,
                endpoint,
                port,
                metadata,
                version,
                zone,
                tags,
                weight,
                ttlMs,
            });
        },
    ],
    unregister_service: ['unregisterService', (a, mesh) => mesh.unregisterService(a.id)],
    heartbeat: ['heartbeat', (a, mesh) => mesh.heartbeat(a.id)],
    discover_services_count: ['discoverServicesCount', (a, mesh) => mesh.discoverServicesCount(a.name)],
    discover_services: ['discoverServices', async (a, mesh) => (await mesh.discoverServices(a.name)).map(info)],
    get_active_service_count: ['getActiveServiceCount', (a, mesh) => mesh.getActiveServiceCount()],
    get_all_services: ['getAllServices', async (a, mesh) => (await mesh.getAllServices()).map(info)],
    get_service: ['getService', async (a, mesh) => info(await mesh.getService(a.id))],
    find: ['find', (a, mesh) => target(mesh.find(a.id))],
    find_many: [
        'findMany',
        (a, mesh) => {
            const { targets, codes } = mesh.findMany(a.ids);
            return codes.map((code, i) => (targets[i] ? { code, target: target(targets[i]) } : { code }));
        },
    ],
    get_service_metadata: ['getServiceMetadata', (a, mesh) => mesh.getServiceMetadata(a.id)],
    update_service_metadata: ['updateServiceMetadata', (a, mesh) => mesh.updateServiceMetadata(a.id, a.metadata)],
    set_service_weight: ['setServiceWeight', (a, mesh) => mesh.setServiceWeight(a.id, a.weight)],
    report_service_performance: [
        'reportServicePerformance',
        (a, mesh) => mesh.reportServicePerformance(a.id, wide(a.response_time_ms), a.success),
    ],
    report: ['report', (a, mesh) => mesh.report(wide(a.reference), wide(a.latency_ns), a.success)],
    begin_request: ['beginRequest', (a, mesh) => void tokens.set(a.token, mesh.beginRequest(wide(a.reference)))],
    end_request: ['endRequest', (a, mesh) => mesh.endRequest(tokenOf(a), wide(a.latency_ns), a.success)],
    get_latency: ['getLatency', async (a, mesh) => String(await mesh.getLatency(a.id, a.quantile))],
    configure_load_balancer: ['configureLoadBalancer', (a, mesh) => mesh.configureLoadBalancer(loadBalancer(a))],
    select_service: ['selectService', (a, mesh) => target(mesh.selectService(a.name, a.client_id))],
    set_health: ['setHealth', (a, mesh) => mesh.setHealth(a.id, a.status)],
    set_admin: ['setAdmin', (a, mesh) => mesh.setAdmin(a.id, a.admin)],
    get_load_balancer_stats: ['getLoadBalancerStatistics', (a, mesh) => statisticsOf(a.name, mesh)],
    get_circuit_breaker_status: ['getCircuitBreakerStatus', (a, mesh) => mesh.getCircuitBreakerStatus(a.id)],
    reset_circuit_breaker: ['resetCircuitBreaker', (a, mesh) => mesh.resetCircuitBreaker(a.id)],
    configure_mesh: [
        'configure',
        (a, mesh) =>
            mesh.configure({
                health: a.health && health(a.health),
                loadBalancer: a.load_balancer && loadBalancer(a.load_balancer),
            }),
    ],
    start_health_monitoring: ['startHealthMonitoring', (a, mesh) => mesh.startHealthMonitoring(a.id, health(a))],
    stop_health_monitoring: ['stopHealthMonitoring', (a, mesh) => mesh.stopHealthMonitoring(a.id)],
    get_service_health: ['getServiceHealth', async (a, mesh) => healthStatus(await mesh.getServiceHealth(a.id))],
    manual_health_check: ['manualHealthCheck', async (a, mesh) => healthStatus(await mesh.manualHealthCheck(a.id))],
    watch_open: ['openWatch', async (a, mesh) => void watches.set(a.watch, await mesh.openWatch(a.name))],
    watch_fd: [commy.Watch, (a) => watchOf(a).isReadable()],
    watch_wait: [commy.Watch, async (a) => String(await watchOf(a).wait({ timeoutMs: a.timeout_ms }))],
    watch_wake: [commy.Watch, (a) => watchOf(a).wake()],
    watch_close: [commy.Watch, (a) => watchOf(a).close()],
    watch_changes: ['watch', changes],
    wait: ['wait', async (a, mesh) => String(await mesh.wait(a.name, wide(a.version), { timeoutMs: a.timeout_ms }))],
};

function isThere(what) {
    return typeof (typeof what === 'string' ? CommyMesh.prototype[what] : what) === 'function';
}

async function answer({ seq, call, args = {} }) {
    if (call === 'bye') return { seq, code: 0 };
    if (call === 'capabilities')
        return { seq, code: 0, value: Object.keys(calls).filter((name) => isThere(calls[name][0])) };
    if (!Object.hasOwn(calls, call)) return { seq, code: -1, message: 'unknown call' };
    try {
        return { seq, code: 0, value: (await calls[call][1](args, meshOf(args))) ?? null };
    } catch (error) {
        if (error instanceof CommyError || error instanceof Refused)
            return { seq, code: error.code, message: error.message };
        return { seq, code: -2, message: String(error?.stack ?? error) };
    }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    process.stdout.write(`${JSON.stringify(await answer(request))}\n`);
    if (request.call === 'bye') break;
}
