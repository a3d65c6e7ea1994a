'use strict';
/* A directory of regions of its own for each test file, gone when it ends; and programs that run beside the test. */
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after } = require('node:test');

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'commy-node-'));
process.env.COMMY_DIR = dir;
delete process.env.COMMY_MESH;
after(() => fs.rmSync(dir, { recursive: true, force: true }));

const { CommyMesh } = require('..');

let meshes = 0;

/**
 * A started mesh in a region of its own, cleaned up after the test.
 * @param {import('node:test').TestContext} t
 */
async function startedMesh(t, options = {}) {
    const mesh = new CommyMesh('test-node', 8080, { mesh: `mesh-${++meshes}`, capacity: 64, ...options });
    await mesh.initialize();
    await mesh.start();
    t.after(() => mesh.cleanup());
    return mesh;
}

/**
 * Runs a program of this language; `ready` resolves at the first line that it prints.
 * @param {string} program
 * @param {string[]} flags
 */
function run(program, flags = [], env = {}) {
    const child = spawn(process.execPath, [...flags, '-e', program], {
        cwd: path.join(__dirname, '..'),
        env: { ...process.env, ...env },
        stdio: ['pipe', 'pipe', 'pipe'],
    });
    let output = '';
    let errors = '';
    child.stderr.on('data', (data) => (errors += data));
    const ready = new Promise((resolve, reject) => {
        child.stdout.on('data', (data) => {
            output += data;
            if (output.includes('\n')) resolve(output);
        });
        child.on('close', () => reject(new Error(`the program ended early: ${errors}`)));
    });
    const ended = new Promise((resolve) =>
        child.on('close', (code, signal) => resolve({ code, signal, output, errors })),
    );
    ready.catch(() => {});
    return { child, ready, ended };
}

/** Tries until it is true, for two seconds at most. */
async function eventually(condition) {
    for (let i = 0; i < 200; i++) {
        if (await condition()) return true;
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return false;
}

module.exports = { dir, startedMesh, run, eventually };
