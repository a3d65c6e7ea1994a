'use strict';
/*
 * CommyMesh: one attachment to a mesh.
 *
 * Calls that may take a while or change the mesh's membership return promises; calls that are over within a
 * microsecond or so and are made per request (find, select, begin, end, report, heartbeat) return their value, and
 * throw. Awaiting them does no harm. Nothing blocks the event loop: what waits, waits in a worker thread of libuv.
 *
 * Handles are destroyed by cleanup(), by the garbage collector when their CommyMesh is gone, and at exit. However the
 * process ends, the kernel tells everybody, and its services are gone.
 */
const { native, failure, check, counted, memory, takeString, sizes } = require('./native.js');
const { Lookup } = require('./lookup.js');
const { invalid } = require('./errors.js');
const { Owned } = require('./owned.js');
const { callInThread } = require('./threads.js');
const { waitForChange } = require('./wait.js');
const { Watch, watches } = require('./watch.js');
const { serviceConfig, loadBalancerConfig, healthConfig, referenceOf } = require('./configs.js');
const values = require('./values.js');

const { MOST_16, MOST_32 } = values;
const OPEN_READ_ONLY = 1;
const OPEN_MUST_EXIST = 2;
const OPEN_MUST_NOT_EXIST = 4;

const meshes = new Owned((handle) => native().commy_destroy_mesh(handle));

const small = memory(64); // for what a call returns beside its code
const text = memory(values.METADATA_BYTES + 1);
let listed = { capacity: 16, room: memory(16 * values.INFO_BYTES) };
const LISTED_KEPT = 1024;

/**
 * Calls `list` until all that there is fits.
 * @param {(at: number, capacity: number, count: number) => number} list
 */
function listAll(list) {
    let { capacity, room } = listed;
    for (;;) {
        check(list(room.address, capacity, small.address));
        const count = Number(small.view.getBigUint64(0, true));
        if (count <= capacity) {
            const infos = new Array(count);
            for (let i = 0; i < count; i++) infos[i] = values.info(room, i * values.INFO_BYTES);
            if (capacity <= LISTED_KEPT) listed = { capacity, room };
            return infos;
        }
        capacity = count + Math.ceil(count / 8);
        room = memory(capacity * values.INFO_BYTES);
    }
}

class CommyMesh {
    #handle = 0;
    #nodeId;
    #port;
    #options;
    #lookup = new Lookup();

    /**
     * @param {string | null} nodeId
     * @param {number} [port]
     * @param {any} [options] none: the default mesh, which needs a node id and a port
     */
    constructor(nodeId, port, options) {
        this.#nodeId = values.string('node id', nodeId);
        this.#port = values.integer('port', port, 0, MOST_16, 0);
        this.#options = options;
    }

    /** Attaches; makes the region where it is missing. Initializing twice is success. */
    async initialize() {
        if (meshes.has(this.#handle)) return this;
        const handle = this.#options ? this.#openMesh(this.#options) : this.#createMesh();
        if (!handle) throw failure(native().commy_last_error());
        this.#handle = handle;
        this.#lookup = new Lookup();
        meshes.add(this, handle);
        return this;
    }

    #createMesh() {
        return native().commy_create_mesh(this.#nodeId, this.#port);
    }

    /** @param {any} options */
    #openMesh(options) {
        return native().commy_open_mesh({
            size: sizes.openOptions,
            flags:
                (options.readOnly ? OPEN_READ_ONLY : 0) |
                (options.mustExist ? OPEN_MUST_EXIST : 0) |
                (options.mustNotExist ? OPEN_MUST_NOT_EXIST : 0),
            mesh: values.string('mesh', options.mesh),
            dir: values.string('dir', options.dir),
            node_id: this.#nodeId,
            group: values.string('group', options.group),
            capacity: values.integer('capacity', options.capacity, 0, MOST_32, 0),
            mode: values.integer('mode', options.mode, 0, MOST_32, 0),
            listen_port: this.#port,
        });
    }

    /** Joins the mesh. */
    async start() {
        check(native().commy_start_mesh(this.#handle));
    }

    /** Unregisters what this mesh registered, and leaves. */
    async stop() {
        check(native().commy_stop_mesh(this.#handle));
    }

    /** Stops and detaches. Throws where there is nothing to detach. */
    async destroy() {
        meshes.remove(this, this.#handle);
        check(native().commy_destroy_mesh(this.#handle));
    }

    /** Stops and detaches. Cleaning up twice is success. */
    async cleanup() {
        if (meshes.has(this.#handle)) await this.destroy();
    }

    async isRunning() {
        return counted(native().commy_is_mesh_running(this.#handle)) === 1;
    }

    async getNodeId() {
        return takeString(native().commy_get_node_id(this.#handle));
    }

    async getStatistics() {
        check(native().commy_get_mesh_stats(this.#handle, small.address));
        return values.statistics(small);
    }

    // ------------------------------------------------------------------------------------------------ registering

    /**
     * @param {any} config or the service's name
     * @param {string} [id]
     * @param {string} [endpoint]
     * @param {number} [port]
     */
    async registerService(config, id, endpoint, port) {
        if (typeof config === 'object' && config !== null) {
            check(native().commy_register_service(this.#handle, serviceConfig(config)));
            return;
        }
        check(
            native().commy_register_service_simple(
                this.#handle,
                values.string('service name', config),
                values.string('service id', id),
                values.string('endpoint', endpoint),
                values.integer('port', port, 0, MOST_16, 0),
            ),
        );
    }

    /** @param {string} id */
    async unregisterService(id) {
        check(native().commy_unregister_service(this.#handle, values.string('service id', id)));
    }

    /**
     * @param {string} id
     * @param {unknown} metadata
     */
    async updateServiceMetadata(id, metadata) {
        const json = values.metadata(metadata);
        check(native().commy_update_service_metadata(this.#handle, values.string('service id', id), json));
    }

    /**
     * @param {string} id
     * @param {number} weight
     */
    async setServiceWeight(id, weight) {
        const number = values.integer('weight', weight, 0, MOST_32);
        check(native().commy_set_service_weight(this.#handle, values.string('service id', id), number));
    }

    /** @param {string} id */
    heartbeat(id) {
        check(native().commy_heartbeat(this.#handle, values.string('service id', id)));
    }

    // -------------------------------------------------------------------------------------------------- looking up

    /** @param {string} name */
    async discoverServices(name) {
        const fit = values.string('service name', name);
        return listAll((at, capacity, count) =>
            native().commy_discover_services(this.#handle, fit, at, capacity, count),
        );
    }

    /** @param {string} name */
    async discoverServicesCount(name) {
        return counted(native().commy_discover_services_count(this.#handle, values.string('service name', name)));
    }

    async getAllServices() {
        return listAll((at, capacity, count) => native().commy_get_all_services(this.#handle, at, capacity, count));
    }

    async getActiveServiceCount() {
        return counted(native().commy_get_active_service_count(this.#handle));
    }

    /** @param {string} id */
    async getService(id) {
        check(native().commy_get_service(this.#handle, values.string('service id', id), listed.room.address));
        return values.info(listed.room, 0);
    }

    /** @param {string} id */
    async getServiceMetadata(id) {
        const fit = values.string('service id', id);
        check(native().commy_get_service_metadata(this.#handle, fit, text.address, text.bytes.length, small.address));
        return text.bytes.toString('utf8', 0, Number(small.view.getBigUint64(0, true)));
    }

    /** @param {string} id */
    find(id) {
        return this.#lookup.find(this.#handle, id);
    }

    /** @param {readonly string[]} ids */
    findMany(ids) {
        return this.#lookup.findMany(this.#handle, ids);
    }

    // ------------------------------------------------------------------------------------- selecting and requests

    /** @param {any} config */
    async configureLoadBalancer(config) {
        check(native().commy_configure_load_balancer(this.#handle, loadBalancerConfig(config)));
    }

    /**
     * @param {string} name
     * @param {string | null} [clientId]
     */
    selectService(name, clientId) {
        return this.#lookup.select(this.#handle, name, values.string('client id', clientId));
    }

    /** @param {any} reference or a target */
    beginRequest(reference) {
        check(native().commy_begin_request(this.#handle, referenceOf('reference', reference), small.address));
        return small.view.getBigUint64(0, true);
    }

    /**
     * @param {bigint | number} token
     * @param {bigint | number} latencyNs
     * @param {boolean} success
     */
    endRequest(token, latencyNs, success) {
        const latency = values.integer64('latencyNs', latencyNs);
        check(native().commy_end_request(this.#handle, values.integer64('token', token), latency, success ? 1 : 0));
    }

    /**
     * @param {any} reference or a target
     * @param {bigint | number} latencyNs
     * @param {boolean} success
     */
    report(reference, latencyNs, success) {
        const latency = values.integer64('latencyNs', latencyNs);
        check(native().commy_report(this.#handle, referenceOf('reference', reference), latency, success ? 1 : 0));
    }

    /**
     * @param {string} id
     * @param {bigint | number} responseTimeMs
     * @param {boolean} success
     */
    reportServicePerformance(id, responseTimeMs, success) {
        const fit = values.string('service id', id);
        const ms = values.integer64('responseTimeMs', responseTimeMs);
        check(native().commy_report_service_performance(this.#handle, fit, ms, success ? 1 : 0));
    }

    /**
     * @param {string | null} idOrName
     * @param {number} quantile
     */
    async getLatency(idOrName, quantile) {
        if (typeof quantile !== 'number') throw invalid(`quantile ${String(quantile)} is not a number`);
        const fit = values.string('service id or name', idOrName);
        check(native().commy_get_latency(this.#handle, fit, quantile, small.address));
        return small.view.getBigUint64(0, true);
    }

    /** @param {string} name */
    async getLoadBalancerStatistics(name) {
        const at = small.address;
        const fit = values.string('service name', name);
        check(native().commy_get_load_balancer_stats(this.#handle, fit, at, at + 8, at + 16, at + 24));
        return {
            totalRequests: small.view.getBigUint64(0, true),
            successfulRequests: small.view.getBigUint64(8, true),
            failedRequests: small.view.getBigUint64(16, true),
            averageResponseTimeMs: small.view.getFloat64(24, true),
        };
    }

    /** @param {string} id */
    async getCircuitBreakerStatus(id) {
        const fit = values.string('service id', id);
        check(native().commy_get_circuit_breaker_status(this.#handle, fit, small.address, small.address + 4));
        return { state: small.view.getInt32(0, true), failures: small.view.getUint32(4, true) };
    }

    /** @param {string} id */
    async resetCircuitBreaker(id) {
        check(native().commy_reset_circuit_breaker(this.#handle, values.string('service id', id)));
    }

    /**
     * Selects an instance, and counts `work` on it as one request: in flight, how long, and whether it failed.
     * @param {string} name
     * @param {(target: any) => unknown} work
     * @param {{clientId?: string}} [options]
     */
    async request(name, work, options = {}) {
        const chosen = this.selectService(name, options.clientId);
        const token = this.beginRequest(chosen);
        const began = process.hrtime.bigint();
        let success = false;
        try {
            const result = await work(chosen);
            success = true;
            return result;
        } finally {
            if (meshes.has(this.#handle)) this.endRequest(token, process.hrtime.bigint() - began, success);
        }
    }

    // ------------------------------------------------------------------------------------------------------- health

    /** @param {{health?: any, loadBalancer?: any}} config */
    async configure({ health, loadBalancer }) {
        const balancer = loadBalancer ? loadBalancerConfig(loadBalancer) : null;
        check(native().commy_configure_mesh(this.#handle, healthConfig(health), balancer));
    }

    /**
     * @param {string} id
     * @param {any} [config]
     */
    async startHealthMonitoring(id, config) {
        const made = healthConfig(config);
        check(native().commy_start_health_monitoring(this.#handle, values.string('service id', id), made));
    }

    /** @param {string} id */
    async stopHealthMonitoring(id) {
        check(native().commy_stop_health_monitoring(this.#handle, values.string('service id', id)));
    }

    /** @param {string} id */
    async getServiceHealth(id) {
        const fit = values.string('service id', id);
        check(native().commy_get_service_health(this.#handle, fit, small.address, small.address + 8));
        return { status: small.view.getInt32(0, true), responseTimeMs: small.view.getFloat64(8, true) };
    }

    /** @param {string} id */
    async manualHealthCheck(id) {
        const fit = values.string('service id', id);
        const { status, number } = await callInThread('commy_manual_health_check', this.#handle, fit);
        return { status, responseTimeMs: number };
    }

    /**
     * @param {string} id
     * @param {number} status
     */
    async setHealth(id, status) {
        const number = values.integer('status', status, -2147483648, 2147483647);
        check(native().commy_set_health(this.#handle, values.string('service id', id), number));
    }

    /**
     * @param {string} id
     * @param {number} admin
     */
    async setAdmin(id, admin) {
        const number = values.integer('admin', admin, -2147483648, 2147483647);
        check(native().commy_set_admin(this.#handle, values.string('service id', id), number));
    }

    // ------------------------------------------------------------------------------------------------------ waiting

    /** @param {string | null} [name] */
    async openWatch(name) {
        return new Watch(this.#handle, values.string('service name', name));
    }

    /**
     * What is watched, first as it is now, and again after each change.
     * @param {string | null} [name]
     * @param {{signal?: AbortSignal}} [options]
     */
    async *watch(name, { signal } = {}) {
        const watch = await this.openWatch(name);
        try {
            for (;;) {
                const version = await watch.wait({ signal });
                const all = name === undefined || name === null;
                yield { version, services: all ? await this.getAllServices() : await this.discoverServices(name) };
            }
        } finally {
            await watch[Symbol.asyncDispose]();
        }
    }

    /**
     * @param {string | null} name
     * @param {bigint | number} version
     * @param {{timeoutMs?: number, signal?: AbortSignal}} [options]
     */
    async wait(name, version, options = {}) {
        const fit = values.string('service name', name);
        return waitForChange(this.#handle, fit, values.integer64('version', version), options);
    }

    async [Symbol.asyncDispose]() {
        await this.cleanup();
    }
}

/** Stops and destroys every mesh of this process. */
function cleanup() {
    meshes.clear();
    watches.clear();
    check(native().commy_ffi_cleanup());
}

module.exports = { CommyMesh, cleanup };
