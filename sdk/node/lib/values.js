'use strict';
/*
 * Values on their way in, checked where the bridge would change them silently (numbers that wrap, strings that end at a
 * NUL or are no UTF-8), and on their way out of the library's structures. Everything else is the library's to judge.
 */
const { invalid } = require('./errors.js');

/** What can't be handed over unchanged: an embedded NUL, half of a surrogate pair. */
const UNFIT = /\0|\p{Surrogate}/u;

/** @param {unknown} value */
function show(value) {
    const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
    return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/**
 * A string, or null where it is null or undefined, of which the library then says what it thinks.
 * @param {string} what
 * @param {unknown} value
 * @returns {string | null}
 */
function string(what, value) {
    if (value === undefined || value === null) return null;
    if (typeof value !== 'string') throw invalid(`${what} must be a string, not ${typeof value} ${show(value)}`);
    if (UNFIT.test(value)) throw invalid(`${what} ${show(value)} holds a NUL or half a surrogate pair: leave it out`);
    return value;
}

/**
 * An integer from least to most, which fits a number; undefined and null are `otherwise`.
 * @param {string} what
 * @param {unknown} value
 * @param {number} least
 * @param {number} most
 * @param {number} [otherwise]
 * @returns {number}
 */
function integer(what, value, least, most, otherwise) {
    if ((value === undefined || value === null) && otherwise !== undefined) return otherwise;
    const number = typeof value === 'bigint' ? Number(value) : value;
    if (typeof number !== 'number' || !Number.isInteger(number) || number < least || number > most)
        throw invalid(`${what} ${show(value)} is not an integer from ${least} to ${most}`);
    return number;
}

const MOST_64 = 2n ** 64n - 1n;

/**
 * An unsigned integer of 64 bits, from a bigint or from a number that is exact.
 * @param {string} what
 * @param {unknown} value
 * @returns {bigint}
 */
function integer64(what, value) {
    const exact =
        typeof value === 'bigint'
            ? value
            : typeof value === 'number' && Number.isSafeInteger(value)
              ? BigInt(value)
              : -1n;
    if (exact < 0n || exact > MOST_64)
        throw invalid(`${what} ${show(value)} is not a bigint or an exact integer from 0 to 2^64 - 1`);
    return exact;
}

/**
 * Metadata: text that is JSON as it is, anything else as JSON; null and "" are none. To the library it is opaque.
 * @param {unknown} value
 * @returns {string | null}
 */
function metadata(value) {
    if (value === undefined || value === null || value === '') return null;
    try {
        if (typeof value !== 'string') return string('metadata', JSON.stringify(value));
        JSON.parse(value);
    } catch (error) {
        throw invalid(`metadata ${show(value)} is not JSON: ${error instanceof Error ? error.message : error}`);
    }
    return string('metadata', value);
}

/**
 * The text of a char array.
 * @param {Buffer} bytes
 * @param {number} at
 * @param {number} room
 */
function text(bytes, at, room) {
    let end = at;
    while (end < at + room && bytes[end] !== 0) end++;
    return bytes.toString('utf8', at, end);
}

const MOST_16 = 65535;
const MOST_32 = 4294967295;
const INFO_BYTES = 1200;
const TARGET_BYTES = 280;
const STATS_BYTES = 48;
const METADATA_BYTES = 4096;

/**
 * A commy_service_info_t.
 * @param {{bytes: Buffer, view: DataView}} memory
 * @param {number} at
 */
function info({ bytes, view }, at) {
    const tags = new Array(Math.min(view.getUint32(at + 1088, true), 16));
    for (let i = 0; i < tags.length; i++) tags[i] = text(bytes, at + 576 + 32 * i, 32);
    return {
        name: text(bytes, at, 64),
        id: text(bytes, at + 64, 128),
        endpoint: text(bytes, at + 192, 256),
        port: view.getUint16(at + 1108, true),
        version: text(bytes, at + 448, 32),
        zone: text(bytes, at + 480, 32),
        nodeId: text(bytes, at + 512, 64),
        tags,
        weight: view.getUint32(at + 1092, true),
        ownerPid: view.getUint32(at + 1096, true),
        status: view.getInt32(at + 1100, true),
        admin: view.getInt32(at + 1104, true),
        registeredAtNs: view.getBigUint64(at + 1112, true),
        metadataBytes: Number(view.getBigUint64(at + 1120, true)),
        responseTimeMs: view.getFloat64(at + 1128, true),
    };
}

/**
 * A commy_target_t.
 * @param {{bytes: Buffer, view: DataView}} memory
 * @param {number} at
 */
function target({ bytes, view }, at) {
    return {
        reference: view.getBigUint64(at, true),
        weight: view.getUint32(at + 8, true),
        status: view.getInt32(at + 12, true),
        port: view.getUint16(at + 16, true),
        endpoint: text(bytes, at + 18, 256),
    };
}

/**
 * A commy_mesh_stats_t.
 * @param {{view: DataView}} memory
 */
function statistics({ view }) {
    return {
        totalServices: view.getUint32(0, true),
        healthyServices: view.getUint32(4, true),
        unhealthyServices: view.getUint32(8, true),
        registeredServices: view.getUint32(12, true),
        totalRequests: view.getBigUint64(16, true),
        successfulRequests: view.getBigUint64(24, true),
        failedRequests: view.getBigUint64(32, true),
        averageResponseTimeMs: view.getFloat64(40, true),
    };
}

module.exports = {
    MOST_16,
    MOST_32,
    string,
    integer,
    integer64,
    metadata,
    info,
    target,
    statistics,
    INFO_BYTES,
    TARGET_BYTES,
    STATS_BYTES,
    METADATA_BYTES,
};
