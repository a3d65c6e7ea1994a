'use strict';
/*
 * Looking up by id, made for the case that the same ids are asked for again: an id's bytes are kept where the library
 * can read them, and what was found last is kept beside them. Within a region a reference names one registration,
 * whose endpoint and port never change; so where the reference is the same, both are taken from before, and only
 * weight and status are read. One Lookup serves one attachment, since another region gives out the same references
 * for its own.
 *
 * At most CACHED ids and names are kept, in chunks made as they are needed. When those are used up, others are copied each
 * time, and once PASSED of them have been, all begins anew.
 */
const { native, failure, check, memory } = require('./native.js');
const { CommyError, invalid } = require('./errors.js');
const values = require('./values.js');

const CACHED = 8192;
const PASSED = 1000000;
const CHUNK = 256;
const ID_ROOM = 128; // an id of 127 bytes and its NUL
const BATCH = 1024;
const UNANSWERED = -1;
const SELECTED = 1024;
const TARGET_WORDS = values.TARGET_BYTES / 4;

/**
 * @typedef {{reference: bigint, weight: number, status: number, port: number, endpoint: string}} Target
 * @typedef {{bytes: Buffer, view: DataView, address: number}} Memory
 */

/** A registration that was found: its reference in two halves, and what it has for good. */
class Known {
    constructor() {
        this.low = -1;
        this.high = -1;
        this.reference = 0n;
        this.endpoint = '';
        this.port = 0;
    }

    /**
     * The target that the library wrote `i`th, which is learnt where it is another than before.
     * @param {Memory} memory
     * @param {Uint32Array} words the same memory
     * @param {number} i
     * @returns {Target}
     */
    target(memory, words, i) {
        const at = i * TARGET_WORDS;
        if (words[at] !== this.low || words[at + 1] !== this.high)
            this.#learn(values.target(memory, 4 * at), words, at);
        return {
            reference: this.reference,
            weight: words[at + 2],
            status: words[at + 3],
            port: this.port,
            endpoint: this.endpoint,
        };
    }

    /**
     * @param {Target} found
     * @param {Uint32Array} words
     * @param {number} at
     */
    #learn({ reference, endpoint, port }, words, at) {
        this.low = words[at];
        this.high = words[at + 1];
        this.reference = reference;
        this.endpoint = endpoint;
        this.port = port;
    }
}

/**
 * Writes a text of few ASCII characters, as ids mostly are, and a NUL; or does not, and says so.
 * @param {Buffer} bytes
 * @param {number} at
 * @param {string} text
 */
function writeAscii(bytes, at, text) {
    const { length } = text;
    if (length >= ID_ROOM) return false;
    for (let i = 0; i < length; i++) {
        const code = text.charCodeAt(i);
        if (code === 0 || code > 127) return false;
        bytes[at + i] = code;
    }
    bytes[at + length] = 0;
    return true;
}

/**
 * Writes any text that can be handed over.
 * @param {Buffer} bytes
 * @param {number} at
 * @param {string} what
 * @param {unknown} text
 */
function write(bytes, at, what, text) {
    const fit = values.string(what, text);
    if (fit === null) throw invalid(`the ${what} must be a string, not null`);
    const length = Buffer.byteLength(fit);
    if (length >= ID_ROOM) throw invalid(`the ${what} has ${length} bytes, which are too many`);
    bytes[at + bytes.write(fit, at)] = 0;
}

/** The bytes of an id or a name, and what was found under it last. */
class Entry extends Known {
    /**
     * @param {Memory} memory kept for as long as its address is
     * @param {number} offset
     */
    constructor(memory, offset) {
        super();
        this.memory = memory;
        this.offset = offset;
        this.address = memory.address + offset;
    }

    /**
     * The same, of another id or name.
     * @param {string} what
     * @param {string} id
     */
    of(what, id) {
        const { bytes } = this.memory;
        if (typeof id !== 'string' || !writeAscii(bytes, this.offset, id)) write(bytes, this.offset, what, id);
        return this;
    }
}

/** The entry of those that are not remembered, one at a time. */
const passing = new Entry(memory(ID_ROOM), 0);

/** @param {number} n */
function makeRoom(n) {
    const targets = memory(values.TARGET_BYTES * n);
    return { targets, words: new Uint32Array(targets.bytes.buffer) };
}

function makeBatch() {
    const ids = memory(8 * BATCH);
    const codes = memory(4 * BATCH);
    return {
        ...makeRoom(BATCH),
        idsAddress: ids.address,
        halves: new Uint32Array(ids.bytes.buffer), // the views keep the memory
        codesAddress: codes.address,
        codes: new Int32Array(codes.bytes.buffer),
        /** @type {Entry[]} */
        entries: new Array(BATCH),
    };
}

const one = makeRoom(1);

/** @type {ReturnType<typeof makeBatch> | null} */
let batch = null;

/** What stands for an id that cannot be handed over, in a batch: no id, which the library finds invalid. */
const nothing = new Entry(memory(8), 0);

class Lookup {
    /** @type {Map<string, Entry>} */
    #entries = new Map();

    /** @type {Memory[]} */
    #chunks = [];

    /** How many were not remembered, since as many as can be are. */
    #passed = 0;

    /** @type {Known[]} What was selected, by the lower part of its reference. */
    #selected = [];

    /**
     * @param {number} handle
     * @param {string} id
     * @returns {Target}
     */
    find(handle, id) {
        const entry = this.#entries.get(id) ?? this.#remember('service id', id);
        const code = native().commy_find(handle, entry.address, one.targets.address);
        if (code !== 0) throw failure(code);
        return entry.target(one.targets, one.words, 0);
    }

    /**
     * @param {number} handle
     * @param {readonly string[]} ids
     * @returns {{targets: Array<Target | null>, codes: number[]}}
     */
    findMany(handle, ids) {
        if (!Array.isArray(ids)) throw invalid('ids must be an array of service ids');
        const targets = new Array(ids.length);
        const codes = new Array(ids.length);
        let from = 0;
        do {
            this.#findBatch(handle, ids, from, targets, codes);
            from += BATCH;
        } while (from < ids.length);
        return { targets, codes };
    }

    /**
     * @param {number} handle
     * @param {string} name
     * @param {string | null} client
     * @returns {Target}
     */
    select(handle, name, client) {
        const entry = this.#entries.get(name) ?? this.#remember('service name', name);
        const code = native().commy_select_service(handle, entry.address, client, one.targets.address);
        if (code !== 0) throw failure(code);
        const known = (this.#selected[one.words[0] % SELECTED] ??= new Known());
        return known.target(one.targets, one.words, 0);
    }

    /**
     * Keeps the bytes of an id or a name.
     * @param {string} what
     * @param {string} id
     * @returns {Entry}
     */
    #remember(what, id) {
        const at = this.#entries.size;
        if (at === CACHED) {
            if (++this.#passed < PASSED) return passing.of(what, id);
            this.#passed = 0;
            this.#entries.clear();
            return this.#remember(what, id);
        }
        const chunk = (this.#chunks[Math.floor(at / CHUNK)] ??= memory(CHUNK * ID_ROOM));
        const entry = new Entry(chunk, (at % CHUNK) * ID_ROOM).of(what, id);
        this.#entries.set(id, entry);
        return entry;
    }

    /** @param {string} id */
    #rememberOrNothing(id) {
        try {
            return this.#remember('service id', id);
        } catch (error) {
            if (error instanceof CommyError) return nothing;
            throw error;
        }
    }

    /**
     * Up to BATCH ids from `from` on.
     * @param {number} handle
     * @param {readonly string[]} ids
     * @param {number} from
     * @param {Array<Target | null>} targets
     * @param {number[]} codes
     */
    #findBatch(handle, ids, from, targets, codes) {
        const room = (batch ??= makeBatch());
        const n = Math.min(ids.length - from, BATCH);
        if (this.#entries.size + n > CACHED) this.#entries.clear(); // none of this batch may push out another
        for (let i = 0; i < n; i++) {
            const id = ids[from + i];
            const entry = this.#entries.get(id) ?? this.#rememberOrNothing(id);
            room.entries[i] = entry;
            room.halves[2 * i] = entry.address % 2 ** 32;
            room.halves[2 * i + 1] = entry.address / 2 ** 32;
            room.codes[i] = UNANSWERED;
        }
        const code = native().commy_find_many(handle, room.idsAddress, n, room.targets.address, room.codesAddress);
        if (n === 0 || room.codes[0] === UNANSWERED) check(code);
        for (let i = 0; i < n; i++) {
            codes[from + i] = room.codes[i];
            targets[from + i] = room.codes[i] === 0 ? room.entries[i].target(room.targets, room.words, i) : null;
        }
    }
}

module.exports = { Lookup };
