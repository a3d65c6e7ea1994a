'use strict';
const { startedMesh } = require('./support.js');
const assert = require('node:assert');
const { test } = require('node:test');
const { NoHandleError } = require('commy');

test('a found service is what it is now: moved, reweighed, registered anew', async (t) => {
    const mesh = await startedMesh(t);
    await mesh.registerService('web', 'web-1', '127.0.0.1', 80);
    const first = mesh.find('web-1');
    assert.deepStrictEqual(mesh.find('web-1'), first);
    await mesh.setServiceWeight('web-1', 3);
    assert.deepStrictEqual(mesh.find('web-1'), { ...first, weight: 3 });
    await mesh.unregisterService('web-1');
    assert.throws(() => mesh.find('web-1'), { code: 5 });
    await mesh.registerService('web', 'web-1', '127.0.0.2', 81);
    const second = mesh.find('web-1');
    assert.deepStrictEqual([second.endpoint, second.port, second.weight], ['127.0.0.2', 81, 100]);
    assert.notStrictEqual(second.reference, first.reference);
});

test('two meshes with the same references do not mix', async (t) => {
    const a = await startedMesh(t);
    const b = await startedMesh(t);
    await a.registerService('web', 'web-1', '10.0.0.1', 1);
    await b.registerService('web', 'web-1', '10.0.0.2', 2);
    for (let i = 0; i < 3; i++) {
        assert.strictEqual(a.find('web-1').endpoint, '10.0.0.1');
        assert.strictEqual(b.find('web-1').endpoint, '10.0.0.2');
    }
});

test('more ids than are remembered are found, one by one and at once', async (t) => {
    const mesh = await startedMesh(t, { capacity: 32768 });
    const ids = Array.from({ length: 20000 }, (_, i) => `service-${i}`);
    for (const [i, id] of ids.entries()) await mesh.registerService('many', id, '127.0.0.1', 1 + i);
    for (let round = 0; round < 4; round++)
        for (const [i, id] of ids.entries()) assert.strictEqual(mesh.find(id).port, 1 + i);
    const { targets, codes } = mesh.findMany([...ids, 'nobody', '', 'a\0b']);
    assert.deepStrictEqual(
        targets.slice(0, 20000).map((target) => target.port),
        ids.map((_, i) => 1 + i),
    );
    assert.deepStrictEqual(
        [targets.slice(20000), codes.slice(20000)],
        [
            [null, null, null],
            [5, 2, 2],
        ],
    );
    assert.ok(codes.slice(0, 20000).every((code) => code === 0));
    assert.strictEqual((await mesh.discoverServices('many')).length, 20000);
    assert.strictEqual((await mesh.getAllServices()).length, 20000);
    assert.strictEqual(await mesh.discoverServicesCount('many'), 20000);
});

test('a batch of none is empty, and one through no handle fails', async (t) => {
    const mesh = await startedMesh(t);
    assert.deepStrictEqual(mesh.findMany([]), { targets: [], codes: [] });
    await mesh.cleanup();
    assert.throws(() => mesh.findMany([]), NoHandleError);
    assert.throws(() => mesh.findMany(['a']), NoHandleError);
});
