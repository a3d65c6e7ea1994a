'use strict';
/*
 * Looking up by id, made for the case that the same ids are asked for again: an id's bytes are kept where the library can
 * read them, and what was found last is kept beside them. Within a region a reference names one registration, whose
 * endpoint and port never change; so where the reference is the same, both are taken from before, and only weight and
 * status are read. One Lookup serves one attachment, since another region gives out the same references for its own.
 *
 * At most CACHED ids are kept, in chunks made as they are needed; when they are used up, all begins anew.
 */
const { native, check, memory } = require('./native.js');
const { CommyError, invalid } = require('./errors.js');
const values = require('./values.js');

const CACHED = 4096;
const CHUNK = 256;
const ID_ROOM = 128; // an id of 127 bytes and its NUL
const BATCH = 1024;

/**
 * @typedef {{address: number, low: number, high: number, reference: bigint, endpoint: string, port: number}} Entry
 * @typedef {{reference: bigint, weight: number, status: number, port: number, endpoint: string}} Target
 */

const found = memory(values.TARGET_BYTES);
const words = new Uint32Array(found.bytes.buffer, 0, 4);

/** @type {ReturnType<typeof makeBatch> | null} */
let batch = null;

function makeBatch() {
  return { ids: memory(8 * BATCH), targets: memory(values.TARGET_BYTES * BATCH), codes: memory(4 * BATCH) };
}

/** What the library is given for an id that cannot be handed over, in a batch: no id, which it finds invalid. */
const empty = memory(8);

const UNANSWERED = -1;

class Lookup {
  /** @type {Map<string, Entry>} */
  #entries = new Map();

  /** @type {Array<{bytes: Buffer, address: number}>} */
  #chunks = [];

  /**
   * @param {number} handle
   * @param {string} id
   * @returns {Target}
   */
  find(handle, id) {
    const entry = this.#entries.get(id) ?? this.#remember(id);
    check(native().commy_find(handle, entry.address, found.address));
    if (words[0] !== entry.low || words[1] !== entry.high) {
      const { reference, endpoint, port } = values.target(found, 0);
      Object.assign(entry, { low: words[0], high: words[1], reference, endpoint, port });
    }
    const { reference, port, endpoint } = entry;
    return { reference, weight: words[2], status: words[3], port, endpoint };
  }

  /**
   * @param {number} handle
   * @param {readonly string[]} ids
   * @returns {{targets: Array<Target | null>, codes: number[]}}
   */
  findMany(handle, ids) {
    if (!Array.isArray(ids)) throw invalid('ids must be an array of service ids');
    /** @type {Array<Target | null>} */
    const targets = [];
    /** @type {number[]} */
    const codes = [];
    let from = 0;
    do {
      this.#findBatch(handle, ids, from, targets, codes);
      from += BATCH;
    } while (from < ids.length);
    return { targets, codes };
  }

  /**
   * Keeps the bytes of an id.
   * @param {string} id
   * @returns {Entry}
   */
  #remember(id) {
    const fit = values.string('service id', id);
    if (fit === null) throw invalid('service id must be a string, not null');
    const bytes = Buffer.byteLength(fit);
    if (bytes >= ID_ROOM) throw invalid(`the service id has ${bytes} bytes; at most ${ID_ROOM - 1} are allowed`);
    if (this.#entries.size === CACHED) this.#entries.clear();
    const at = this.#entries.size;
    const chunk = (this.#chunks[Math.floor(at / CHUNK)] ??= memory(CHUNK * ID_ROOM));
    const offset = (at % CHUNK) * ID_ROOM;
    chunk.bytes[offset + chunk.bytes.write(fit, offset)] = 0;
    const entry = { address: chunk.address + offset, low: -1, high: -1, reference: 0n, endpoint: '', port: 0 };
    this.#entries.set(id, entry);
    return entry;
  }

  /** @param {string} id */
  #addressOf(id) {
    try {
      return (this.#entries.get(id) ?? this.#remember(id)).address;
    } catch (error) {
      if (error instanceof CommyError) return empty.address;
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
      room.ids.view.setBigUint64(8 * i, BigInt(this.#addressOf(ids[from + i])), true);
      room.codes.view.setInt32(4 * i, UNANSWERED, true);
    }
    const status = native().commy_find_many(handle, room.ids.address, n, room.targets.address, room.codes.address);
    if (n === 0 || room.codes.view.getInt32(0, true) === UNANSWERED) check(status);
    for (let i = 0; i < n; i++) {
      const code = room.codes.view.getInt32(4 * i, true);
      codes.push(code);
      targets.push(code === 0 ? values.target(room.targets, values.TARGET_BYTES * i) : null);
    }
  }
}

module.exports = { Lookup };
