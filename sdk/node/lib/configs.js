'use strict';
/* Objects on their way into the library's structures. */
const { sizes } = require('./native.js');
const { invalid } = require('./errors.js');
const values = require('./values.js');

const { MOST_16, MOST_32 } = values;
const SERVICE_DETACHED = 1;

/**
 * A commy_service_config_t.
 * @param {any} config
 */
function serviceConfig(config) {
    if (typeof config !== 'object' || config === null)
        throw invalid('a service is registered with an object, or with name, id, host and port');
    const tags = config.tags ?? [];
    if (!Array.isArray(tags)) throw invalid('tags must be an array of strings');
    return {
        size: sizes.serviceConfig,
        flags: config.detached ? SERVICE_DETACHED : 0,
        service_name: values.string('service name', config.name),
        service_id: values.string('service id', config.id),
        endpoint: values.string('endpoint', config.endpoint),
        metadata: values.metadata(config.metadata),
        version: values.string('version', config.version),
        zone: values.string('zone', config.zone),
        tags: tags.length ? tags.map((tag) => values.string('tag', tag)) : null,
        tag_count: tags.length,
        weight: values.integer('weight', config.weight, 0, MOST_32, 0),
        ttl_ms: values.integer64('ttlMs', config.ttlMs ?? 0),
        port: values.integer('port', config.port, 0, MOST_16, 0),
    };
}

/**
 * A commy_load_balancer_config_t.
 * @param {any} config
 */
function loadBalancerConfig(config) {
    const { algorithm = 0, circuitBreaker } = config ?? {};
    return {
        algorithm: values.integer('algorithm', algorithm, -2147483648, 2147483647),
        enable_circuit_breaker: circuitBreaker ? 1 : 0,
        circuit_breaker_threshold: values.integer('circuitBreaker.threshold', circuitBreaker?.threshold, 0, MOST_32, 0),
        circuit_breaker_timeout_ms: values.integer64('circuitBreaker.timeoutMs', circuitBreaker?.timeoutMs ?? 0),
    };
}

/**
 * A commy_health_config_t; what is left out is the library's default.
 * @param {any} config
 */
function healthConfig(config) {
    if (config === undefined || config === null) return null;
    const { checkIntervalMs = 5000, timeoutMs = 1000, maxFailures = 3, recoveryChecks = 2 } = config;
    return {
        check_interval_ms: values.integer64('checkIntervalMs', checkIntervalMs),
        timeout_ms: values.integer64('timeoutMs', timeoutMs),
        max_failures: values.integer('maxFailures', maxFailures, 0, MOST_32),
        recovery_checks: values.integer('recoveryChecks', recoveryChecks, 0, MOST_32),
    };
}

/**
 * @param {string} what
 * @param {unknown} value
 */
function referenceOf(what, value) {
    const reference = typeof value === 'object' && value !== null && 'reference' in value ? value.reference : value;
    return values.integer64(what, reference);
}

module.exports = { serviceConfig, loadBalancerConfig, healthConfig, referenceOf };
