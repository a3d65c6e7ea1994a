'use strict';
/*
 * commy_wait() without blocking the event loop: it sleeps in a thread of libuv's pool, a slice at a time, so that an
 * aborted wait gives its thread back soon. The thread that failed keeps the sentence; so a wait that fails is repeated
 * here, without waiting, for the sentence (or for the change that came meanwhile).
 */
const { native, check, memory } = require('./native.js');
const { errorOf, Status } = require('./errors.js');
const values = require('./values.js');

const SLICE_MS = 250;

/**
 * @param {number} handle
 * @param {string | null} name
 * @param {bigint} version
 * @param {number} timeoutMs
 * @returns {Promise<{code: number, version: bigint}>}
 */
function slice(handle, name, version, timeoutMs) {
    const room = memory(8);
    return new Promise((resolve, reject) => {
        native().commy_wait.async(
            handle,
            name,
            version,
            timeoutMs,
            room.address,
            (/** @type {any} */ error, /** @type {number} */ code) => {
                if (error) reject(error);
                else resolve({ code, version: room.view.getBigUint64(0, true) });
            },
        );
    });
}

/**
 * @param {number} handle
 * @param {string | null} name
 * @param {bigint} version
 */
function look(handle, name, version) {
    const room = memory(8);
    check(native().commy_wait(handle, name, version, 0, room.address));
    return room.view.getBigUint64(0, true);
}

/**
 * Rejects when the signal aborts.
 * @param {AbortSignal} signal
 */
function aborted(signal) {
    /** @type {() => void} */
    let stop = () => {};
    const promise = new Promise((_, reject) => {
        const listener = () => reject(signal.reason);
        signal.addEventListener('abort', listener, { once: true });
        stop = () => signal.removeEventListener('abort', listener);
    });
    promise.catch(() => {});
    return { promise, stop };
}

/**
 * @param {number} handle
 * @param {string | null} name
 * @param {bigint} version
 * @param {number} timeoutMs negative: for ever
 * @param {() => boolean} wanted
 */
async function waitInSlices(handle, name, version, timeoutMs, wanted) {
    const end = timeoutMs < 0 ? Infinity : performance.now() + timeoutMs;
    while (wanted()) {
        const left = Math.ceil(end - performance.now());
        const result = await slice(handle, name, version, Math.max(0, Math.min(SLICE_MS, left)));
        if (result.code === Status.SUCCESS) return result.version;
        if (result.code !== Status.TIMED_OUT && result.code !== Status.INTERRUPTED) return look(handle, name, version);
        if (performance.now() >= end) {
            const what = name === null ? 'in the mesh' : `among the instances of ${JSON.stringify(name)}`;
            throw errorOf(Status.TIMED_OUT, `nothing changed ${what} within ${timeoutMs} ms`);
        }
    }
    return version;
}

/**
 * @param {number} handle
 * @param {string | null} name
 * @param {bigint} version
 * @param {{timeoutMs?: number, signal?: AbortSignal}} options
 * @returns {Promise<bigint>}
 */
async function waitForChange(handle, name, version, { timeoutMs = -1, signal } = {}) {
    const timeout = values.integer('timeoutMs', timeoutMs, -2147483648, 2147483647);
    signal?.throwIfAborted();
    if (version === 0n) return look(handle, name, version);
    if (!signal) return waitInSlices(handle, name, version, timeout, () => true);
    const abort = aborted(signal);
    try {
        const changed = waitInSlices(handle, name, version, timeout, () => !signal.aborted);
        changed.catch(() => {});
        return /** @type {bigint} */ (await Promise.race([changed, abort.promise]));
    } finally {
        abort.stop();
    }
}

module.exports = { waitForChange };
