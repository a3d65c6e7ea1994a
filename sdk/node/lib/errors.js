'use strict';
/*
 * One class per code of the library. The sentence is the library's own, and belongs to the thread that failed: it is
 * read right after a failed call, which is why the calls that can fail with one are synchronous.
 */

/** An error of commy: `code` is the library's number, `status` its name, `message` the library's sentence. */
class CommyError extends Error {
    /**
     * @param {string} message
     * @param {number} code
     * @param {string} status
     */
    constructor(message, code, status) {
        super(message);
        this.code = code;
        this.status = status;
    }

    get name() {
        return this.constructor.name;
    }
}

/** @type {Array<[number, string, string]>} */
const table = [
    [1, 'INIT_FAILED', 'InitFailedError'],
    [2, 'INVALID', 'InvalidParameterError'],
    [3, 'NO_HANDLE', 'NoHandleError'],
    [4, 'NO_MEMORY', 'NoMemoryError'],
    [5, 'NOT_FOUND', 'NotFoundError'],
    [6, 'EXISTS', 'AlreadyExistsError'],
    [7, 'FULL', 'RegionFullError'],
    [8, 'PERMISSION', 'PermissionError'],
    [9, 'LAYOUT', 'LayoutError'],
    [10, 'CORRUPT', 'CorruptError'],
    [11, 'TIMED_OUT', 'TimedOutError'],
    [12, 'NOT_RUNNING', 'NotRunningError'],
    [13, 'NO_HEALTHY', 'NoHealthyError'],
    [14, 'CIRCUIT_OPEN', 'CircuitOpenError'],
    [15, 'FORKED', 'ForkedError'],
    [16, 'NO_SPACE', 'NoSpaceError'],
    [17, 'NOT_A_REGION', 'NotARegionError'],
    [18, 'OTHER_BOOT', 'OtherBootError'],
    [19, 'LIMIT', 'LimitError'],
    [20, 'KERNEL', 'KernelError'],
    [21, 'READ_ONLY', 'ReadOnlyError'],
    [22, 'REMOVED', 'RemovedError'],
    [23, 'BUSY', 'BusyError'],
    [24, 'INTERRUPTED', 'InterruptedError'],
    [25, 'MESH_NOT_FOUND', 'MeshNotFoundError'],
    [99, 'INTERNAL', 'InternalError'],
];

/** @type {Record<string, number>} The codes by name. */
const Status = { SUCCESS: 0 };

/** @type {Record<string, new (message: string) => CommyError>} */
const classes = {};

/** @type {Map<number, new (message: string) => CommyError>} */
const byCode = new Map();

for (const [code, status, name] of table) {
    const type = {
        [name]: class extends CommyError {
            /** @param {string} message */
            constructor(message) {
                super(message, code, status);
            }
        },
    }[name];
    Status[status] = code;
    classes[name] = type;
    byCode.set(code, type);
}

/**
 * The error of a code. A code of a later library than this SDK knows is a plain CommyError.
 * @param {number} code
 * @param {string} message
 * @returns {CommyError}
 */
function errorOf(code, message) {
    const Type = byCode.get(code);
    return Type ? new Type(message) : new CommyError(message, code, `CODE_${code}`);
}

/**
 * @param {string} message
 * @returns {CommyError}
 */
function invalid(message) {
    return errorOf(Status.INVALID, message);
}

module.exports = { CommyError, Status: Object.freeze(Status), classes, errorOf, invalid };
