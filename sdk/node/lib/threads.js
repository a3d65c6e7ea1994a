'use strict';
/*
 * Calls that block for longer than an event loop may, and whose sentence belongs to the thread that fails: each is
 * made in a worker, which reads the sentence, too. A handle is the process's, so that a worker may use it. Idle
 * workers are kept, and hold up nobody's exit.
 */
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { native, memory } = require('./native.js');
const { errorOf } = require('./errors.js');

const KEPT = 2;
const WORKER = 'commy: a worker of the SDK';

/** @type {Worker[]} */
const idle = [];

/**
 * Calls name(handle, id, int32_t *, double *) in a worker.
 * @param {string} name
 * @param {number} handle
 * @param {string | null} id
 * @returns {Promise<{status: number, number: number}>}
 */
function callInThread(name, handle, id) {
    const worker = idle.pop() ?? new Worker(__filename, { workerData: WORKER });
    worker.ref();
    return new Promise((resolve, reject) => {
        const fail = (/** @type {unknown} */ error) => reject(error);
        worker.once('error', fail);
        worker.once('message', (answer) => {
            worker.off('error', fail);
            worker.unref();
            if (idle.length < KEPT) idle.push(worker);
            else worker.terminate();
            if (answer.code === 0) resolve(answer);
            else reject(errorOf(answer.code, answer.message));
        });
        worker.postMessage({ name, handle, id });
    });
}

function serve() {
    const room = memory(16);
    parentPort?.on('message', ({ name, handle, id }) => {
        const code = native()[name](handle, id, room.address, room.address + 8);
        const message = code === 0 ? '' : native().commy_last_error_message();
        parentPort?.postMessage({
            code,
            message,
            status: room.view.getInt32(0, true),
            number: room.view.getFloat64(8, true),
        });
    });
}

if (!isMainThread && workerData === WORKER) serve();

module.exports = { callInThread };
