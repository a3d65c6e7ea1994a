'use strict';
/*
 * Numbers of the library that an object owns: given back when the object is closed, when the garbage collector finds it
 * forgotten, and when the thread ends, which the process may outlive.
 */
class Owned {
    /** @type {Set<number | bigint>} */
    #open = new Set();

    /** @type {FinalizationRegistry<number | bigint>} */
    #forgotten;

    /** @param {(number: number | bigint) => void} giveBack which may fail where the library was cleaned up */
    constructor(giveBack) {
        this.#forgotten = new FinalizationRegistry((number) => {
            if (this.#open.delete(number)) giveBack(number);
        });
        process.on('exit', () => {
            for (const number of this.#open) giveBack(number);
        });
    }

    /** @param {number | bigint} number */
    has(number) {
        return this.#open.has(number);
    }

    /**
     * @param {object} owner
     * @param {number | bigint} number
     */
    add(owner, number) {
        this.#open.add(number);
        this.#forgotten.register(owner, number, owner);
    }

    /**
     * @param {object} owner
     * @param {number | bigint} number
     */
    remove(owner, number) {
        this.#forgotten.unregister(owner);
        return this.#open.delete(number);
    }

    /** Of all: the library has given them back. */
    clear() {
        this.#open.clear();
    }
}

module.exports = { Owned };
