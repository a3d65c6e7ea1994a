'use strict';
const { startedMesh } = require('./support.js');
const assert = require('node:assert');
const { test } = require('node:test');
const { NotRunningError, TimedOutError } = require('commy');

test('a change ends a wait, and the event loop goes on meanwhile', async (t) => {
    const mesh = await startedMesh(t);
    const version = await mesh.wait('web', 0);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 10);
    setTimeout(() => mesh.registerService('web', 'web-1', '127.0.0.1', 80), 400);
    const next = await mesh.wait('web', version);
    clearInterval(timer);
    assert.ok(next > version);
    assert.ok(ticks >= 10, `${ticks} ticks`);
});

test('a change before the wait is not missed', async (t) => {
    const mesh = await startedMesh(t);
    const version = await mesh.wait(null, 0n);
    await mesh.registerService('web', 'web-1', '127.0.0.1', 80);
    assert.ok((await mesh.wait(null, version, { timeoutMs: 0 })) > version);
});

test('a wait times out when it should', async (t) => {
    const mesh = await startedMesh(t);
    const version = await mesh.wait('web', 0);
    const began = performance.now();
    await assert.rejects(
        mesh.wait('web', version, { timeoutMs: 350 }),
        (error) => error instanceof TimedOutError && /"web" within 350 ms/.test(error.message),
    );
    assert.ok(performance.now() - began >= 349);
});

test('an aborted wait rejects at once with the reason', async (t) => {
    const mesh = await startedMesh(t);
    const version = await mesh.wait('web', 0);
    const abort = new AbortController();
    const reason = new Error('enough');
    setTimeout(() => abort.abort(reason), 20);
    await assert.rejects(mesh.wait('web', version, { signal: abort.signal }), (error) => error === reason);
    await assert.rejects(mesh.wait('web', 0, { signal: abort.signal }), (error) => error === reason);
});

test('stopping ends waits with the sentence for it', async (t) => {
    const mesh = await startedMesh(t);
    let version = await mesh.wait('web', 0);
    setTimeout(() => mesh.stop(), 50);
    await assert.rejects(
        async () => {
            for (let i = 0; i < 10; i++) version = await mesh.wait('web', version); // leaving is a change, too
        },
        (error) => error instanceof NotRunningError && /handle \d+ was stopped/.test(error.message),
    );
});

test('bad arguments are refused', async (t) => {
    const mesh = await startedMesh(t);
    await assert.rejects(mesh.wait('', 0), { code: 2 });
    await assert.rejects(mesh.wait('web', -1), { code: 2 });
    await assert.rejects(mesh.wait('web', 1n, { timeoutMs: 2 ** 31 }), { code: 2 });
});
