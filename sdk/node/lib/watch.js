'use strict';
/*
 * A watch: told of changes through a descriptor that the event loop polls. Waiting takes no thread, and nothing while
 * there is no change. The library's wait is only ever called with a timeout of 0, which is also what empties the
 * descriptor.
 */
const koffi = require('koffi');
const { native, failure, check, counted, memory } = require('./native.js');
const { Owned } = require('./owned.js');
const { errorOf, Status } = require('./errors.js');
const values = require('./values.js');

const watches = new Owned((watch) => native().commy_watch_close(watch));
const small = memory(8);

/** The poll handles of libuv, which koffi lends; its types tell of an import that a required module does not have. */
const { poll } = /** @type {any} */ (koffi).node;

class Watch {
    /** @type {bigint} */
    #watch;

    /** @type {any} */
    #poll = null;

    /** @type {Set<() => void>} Of each wait: how to have it look again. */
    #waiters = new Set();

    /**
     * @param {number} handle
     * @param {string | null} name
     */
    constructor(handle, name) {
        check(native().commy_watch_open(handle, name, small.address));
        this.#watch = small.view.getBigUint64(0, true);
        watches.add(this, this.#watch);
    }

    /** The descriptor: readable when a wait would not wait. Not to be read from, nor closed. */
    get fd() {
        return counted(native().commy_watch_fd(this.#watch));
    }

    /** Whether a wait would not wait, as the event loop sees it now. */
    async isReadable() {
        const fd = this.fd;
        let readable = false;
        const stop = this.#look(fd, () => (readable = true));
        await new Promise(setImmediate); // behind the phase that polls, of this round or the next
        await new Promise(setImmediate);
        stop();
        return readable;
    }

    /**
     * Waits for a change since the last wait; the first returns at once.
     * @param {{timeoutMs?: number, signal?: AbortSignal}} [options]
     * @returns {Promise<bigint>}
     */
    async wait({ timeoutMs = -1, signal } = {}) {
        const timeout = values.integer('timeoutMs', timeoutMs, -2147483648, 2147483647);
        const end = timeout < 0 ? Infinity : performance.now() + timeout;
        for (let waited = false; ; waited = true) {
            signal?.throwIfAborted();
            if (waited && !watches.has(this.#watch))
                throw errorOf(Status.INTERRUPTED, 'the watch was closed during the wait');
            const code = native().commy_watch_wait(this.#watch, 0, small.address);
            if (code === Status.SUCCESS) return small.view.getBigUint64(0, true);
            if (code !== Status.TIMED_OUT) throw failure(code);
            const left = end - performance.now();
            if (left <= 0) throw errorOf(code, `nothing changed in what is watched within ${timeout} ms`);
            await this.#readable(left, signal);
        }
    }

    /** Ends the waits that are under way with InterruptedError, or the next one. */
    wake() {
        check(native().commy_watch_wake(this.#watch));
    }

    /** Closes the watch and its descriptor. Waits that are under way end with InterruptedError. */
    close() {
        watches.remove(this, this.#watch);
        this.#poll?.close(); // before its descriptor goes
        this.#poll = null;
        check(native().commy_watch_close(this.#watch));
        for (const again of [...this.#waiters]) again();
    }

    async *[Symbol.asyncIterator]() {
        for (;;) yield await this.wait();
    }

    async [Symbol.asyncDispose]() {
        if (watches.has(this.#watch)) this.close();
    }

    /**
     * Calls `again` when the descriptor is readable, and when the watch is closed, until it is stopped.
     * @param {number} fd
     * @param {() => void} again
     */
    #look(fd, again) {
        this.#waiters.add(again);
        if (!this.#poll) {
            this.#poll = poll(fd, { readable: true }, () => {
                for (const waiter of [...this.#waiters]) waiter();
            });
        }
        return () => {
            this.#waiters.delete(again);
            if (this.#waiters.size > 0) return;
            this.#poll?.close();
            this.#poll = null;
        };
    }

    /**
     * Until the descriptor is readable, the time has passed, or the signal aborts.
     * @param {number} leftMs
     * @param {AbortSignal} [signal]
     */
    async #readable(leftMs, signal) {
        const fd = this.fd;
        /** @type {() => void} */
        let again = () => {};
        const looked = new Promise((resolve) => (again = () => resolve(undefined)));
        const stop = this.#look(fd, again);
        const timer = leftMs < Infinity ? setTimeout(again, Math.min(leftMs + 1, 2147483647)) : undefined;
        signal?.addEventListener('abort', again, { once: true });
        try {
            await looked;
        } finally {
            signal?.removeEventListener('abort', again);
            clearTimeout(timer);
            stop();
        }
    }
}

module.exports = { Watch, watches };
