'use strict';
/*
 * libcommy.so.1 through koffi: the functions of commy/ffi.h, bound when the first of them is called.
 *
 * A commy_handle_t is a structure of one uint64_t and travels as that number, which is passed in the same register;
 * handles lie below 2^53, so that a JavaScript number holds them. What the library fills in is named by its address:
 * memory that lives as long as this module (or, where a call goes on in another thread, as long as that call), and
 * that is read before anything else can run on this thread.
 */
const koffi = require('koffi');
const { errorOf, Status } = require('./errors.js');

/** @typedef {Record<string, any>} Library */

const STRING = 'str';
const HANDLE = 'uint64_t';
const ADDRESS = 'uintptr_t';

const openOptions = koffi.struct({
    size: 'uint32_t',
    flags: 'uint32_t',
    mesh: STRING,
    dir: STRING,
    node_id: STRING,
    group: STRING,
    capacity: 'uint32_t',
    mode: 'uint32_t',
    listen_port: 'uint16_t',
});

const serviceConfig = koffi.struct({
    size: 'uint32_t',
    flags: 'uint32_t',
    service_name: STRING,
    service_id: STRING,
    endpoint: STRING,
    metadata: STRING,
    version: STRING,
    zone: STRING,
    tags: 'const char **',
    tag_count: 'uint32_t',
    weight: 'uint32_t',
    ttl_ms: 'uint64_t',
    port: 'uint16_t',
});

const loadBalancerConfig = koffi.struct({
    algorithm: 'int32_t',
    enable_circuit_breaker: 'uint32_t',
    circuit_breaker_threshold: 'uint32_t',
    circuit_breaker_timeout_ms: 'uint64_t',
});

const healthConfig = koffi.struct({
    check_interval_ms: 'uint64_t',
    timeout_ms: 'uint64_t',
    max_failures: 'uint32_t',
    recovery_checks: 'uint32_t',
});

const sizes = { openOptions: koffi.sizeof(openOptions), serviceConfig: koffi.sizeof(serviceConfig) };

/** @type {Record<string, any[]>} What each function returns, and takes. */
const functions = {
    commy_ffi_init: ['int32_t'],
    commy_ffi_cleanup: ['int32_t'],
    commy_ffi_version: [STRING],
    commy_create_mesh: [HANDLE, STRING, 'uint16_t'],
    commy_open_mesh: [HANDLE, koffi.pointer(openOptions)],
    commy_start_mesh: ['int32_t', HANDLE],
    commy_stop_mesh: ['int32_t', HANDLE],
    commy_is_mesh_running: ['int32_t', HANDLE],
    commy_destroy_mesh: ['int32_t', HANDLE],
    commy_get_node_id: ['void *', HANDLE],
    commy_free_string: ['void', 'void *'],
    commy_get_mesh_stats: ['int32_t', HANDLE, ADDRESS],
    commy_register_service_simple: ['int32_t', HANDLE, STRING, STRING, STRING, 'uint16_t'],
    commy_register_service: ['int32_t', HANDLE, koffi.pointer(serviceConfig)],
    commy_unregister_service: ['int32_t', HANDLE, STRING],
    commy_discover_services_count: ['int32_t', HANDLE, STRING],
    commy_get_active_service_count: ['int32_t', HANDLE],
    commy_discover_services: ['int32_t', HANDLE, STRING, ADDRESS, 'size_t', ADDRESS],
    commy_get_all_services: ['int32_t', HANDLE, ADDRESS, 'size_t', ADDRESS],
    commy_get_service: ['int32_t', HANDLE, STRING, ADDRESS],
    commy_find: ['int32_t', HANDLE, ADDRESS, ADDRESS],
    commy_find_many: ['int32_t', HANDLE, ADDRESS, 'size_t', ADDRESS, ADDRESS],
    commy_get_service_metadata: ['int32_t', HANDLE, STRING, ADDRESS, 'size_t', ADDRESS],
    commy_update_service_metadata: ['int32_t', HANDLE, STRING, STRING],
    commy_set_service_weight: ['int32_t', HANDLE, STRING, 'uint32_t'],
    commy_heartbeat: ['int32_t', HANDLE, STRING],
    commy_report_service_performance: ['int32_t', HANDLE, STRING, 'uint64_t', 'int32_t'],
    commy_report: ['int32_t', HANDLE, 'uint64_t', 'uint64_t', 'int32_t'],
    commy_begin_request: ['int32_t', HANDLE, 'uint64_t', ADDRESS],
    commy_end_request: ['int32_t', HANDLE, 'uint64_t', 'uint64_t', 'int32_t'],
    commy_get_latency: ['int32_t', HANDLE, STRING, 'double', ADDRESS],
    commy_configure_load_balancer: ['int32_t', HANDLE, koffi.pointer(loadBalancerConfig)],
    commy_select_service: ['int32_t', HANDLE, ADDRESS, STRING, ADDRESS],
    commy_set_health: ['int32_t', HANDLE, STRING, 'int32_t'],
    commy_set_admin: ['int32_t', HANDLE, STRING, 'int32_t'],
    commy_get_load_balancer_stats: ['int32_t', HANDLE, STRING, ADDRESS, ADDRESS, ADDRESS, ADDRESS],
    commy_get_circuit_breaker_status: ['int32_t', HANDLE, STRING, ADDRESS, ADDRESS],
    commy_reset_circuit_breaker: ['int32_t', HANDLE, STRING],
    commy_configure_mesh: ['int32_t', HANDLE, koffi.pointer(healthConfig), koffi.pointer(loadBalancerConfig)],
    commy_start_health_monitoring: ['int32_t', HANDLE, STRING, koffi.pointer(healthConfig)],
    commy_stop_health_monitoring: ['int32_t', HANDLE, STRING],
    commy_get_service_health: ['int32_t', HANDLE, STRING, ADDRESS, ADDRESS],
    commy_manual_health_check: ['int32_t', HANDLE, STRING, ADDRESS, ADDRESS],
    commy_watch_open: ['int32_t', HANDLE, STRING, ADDRESS],
    commy_watch_fd: ['int32_t', 'uint64_t'],
    commy_watch_wait: ['int32_t', 'uint64_t', 'int32_t', ADDRESS],
    commy_watch_wake: ['int32_t', 'uint64_t'],
    commy_watch_close: ['int32_t', 'uint64_t'],
    commy_wait: ['int32_t', HANDLE, STRING, 'uint64_t', 'int32_t', ADDRESS],
    commy_last_error: ['int32_t'],
    commy_last_error_message: [STRING],
    commy_status_string: [STRING, 'int32_t'],
};

/** @type {Library | null} */
let bound = null;

function open() {
    const name = process.env.COMMY_LIBRARY || 'libcommy.so.1';
    try {
        return koffi.load(name);
    } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw errorOf(
            Status.INIT_FAILED,
            `cannot load ${name}: ${reason}. Install commy (meson setup build && meson install -C build, ldconfig), ` +
                'or name the file in COMMY_LIBRARY or its directory in LD_LIBRARY_PATH',
        );
    }
}

/**
 * A function that the installed library does not have, which is older than this SDK then.
 * @param {string} name
 */
function missing(name) {
    return () => {
        throw errorOf(Status.INIT_FAILED, `the installed libcommy.so.1 has no ${name}: install a later one`);
    };
}

/**
 * The library's functions by name. Throws InitFailedError where the library cannot be loaded.
 * @returns {Library}
 */
function native() {
    if (bound) return bound;
    const library = open();
    /** @type {Library} */
    const made = {};
    for (const [name, [result, ...parameters]] of Object.entries(functions)) {
        try {
            made[name] = library.func(name, result, parameters);
        } catch {
            made[name] = missing(name);
        }
    }
    return (bound = made);
}

/**
 * The error of a call that failed on this thread just now.
 * @param {number} code
 */
function failure(code) {
    return errorOf(code, native().commy_last_error_message());
}

/**
 * Throws unless `code` is success.
 * @param {number} code
 */
function check(code) {
    if (code !== 0) throw failure(code);
}

/**
 * A count or a flag, or throws where it is a negated code.
 * @param {number} value
 * @returns {number}
 */
function counted(value) {
    if (value < 0) throw failure(-value);
    return value;
}

/**
 * Memory outside the JavaScript heap, which does not move: its bytes, a view of them, and their address. It is freed
 * when the object is collected: who keeps the address keeps the object.
 * @param {number} bytes
 */
function memory(bytes) {
    const buffer = Buffer.from(new ArrayBuffer(bytes));
    const view = new DataView(buffer.buffer);
    return { bytes: buffer, view, address: Number(koffi.address(buffer)) };
}

/**
 * The text of a `char *` that the library gave away, which is given back.
 * @param {unknown} pointer
 * @returns {string}
 */
function takeString(pointer) {
    if (!pointer) throw failure(native().commy_last_error());
    try {
        return koffi.decode(pointer, 'char', -1);
    } finally {
        native().commy_free_string(pointer);
    }
}

module.exports = { native, failure, check, counted, memory, takeString, sizes };
