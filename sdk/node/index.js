'use strict';
const { native, check } = require('./lib/native.js');
const { CommyError, Status, classes } = require('./lib/errors.js');
const { CommyMesh, cleanup } = require('./lib/mesh.js');
const { Watch } = require('./lib/watch.js');

const Health = Object.freeze({ UNKNOWN: 0, HEALTHY: 1, UNHEALTHY: 2, DEGRADED: 3 });
const Admin = Object.freeze({ ENABLED: 0, DRAINING: 1, MAINTENANCE: 2 });
const Breaker = Object.freeze({ CLOSED: 0, OPEN: 1, HALF_OPEN: 2 });
const Algorithm = Object.freeze({
    ROUND_ROBIN: 0,
    LEAST_CONNECTIONS: 1,
    WEIGHTED_ROUND_ROBIN: 2,
    PERFORMANCE: 3,
    RANDOM: 4,
    CONSISTENT_HASH: 5,
});

/** The library's version. */
function version() {
    return native().commy_ffi_version();
}

/** Loads the library and sets it up, which the first call does too. */
function init() {
    check(native().commy_ffi_init());
}

/** The code and the sentence of this thread's last failure. */
function lastError() {
    return { code: native().commy_last_error(), message: native().commy_last_error_message() };
}

/**
 * A few words for a code.
 * @param {number} code
 */
function statusString(code) {
    return native().commy_status_string(code);
}

module.exports = {
    CommyMesh,
    Watch,
    CommyError,
    Status,
    Health,
    Admin,
    Breaker,
    Algorithm,
    version,
    init,
    cleanup,
    lastError,
    statusString,
    ...classes,
};
