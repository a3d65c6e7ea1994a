'use strict';
const { startedMesh } = require('./support.js');
const assert = require('node:assert');
const { test } = require('node:test');
const { CommyMesh, InvalidParameterError } = require('commy');

test('every field comes back as it was given', async (t) => {
    const mesh = await startedMesh(t);
    const given = {
        name: 'wéb',
        id: 'ïd-1',
        endpoint: 'unix:/run/söcket',
        port: 0,
        version: '1.2.3',
        zone: 'zürich',
        tags: ['a', '日本'],
        weight: 7,
        ttlMs: 60000n,
        metadata: { a: [1, 'ü'] },
    };
    await mesh.registerService(given);
    const { ttlMs, metadata, ...rest } = given;
    const info = await mesh.getService('ïd-1');
    for (const [field, value] of Object.entries(rest)) assert.deepStrictEqual(info[field], value, field);
    const json = JSON.stringify(metadata);
    assert.strictEqual(await mesh.getServiceMetadata('ïd-1'), json);
    assert.strictEqual(info.metadataBytes, Buffer.byteLength(json));
    assert.strictEqual(mesh.find('ïd-1').endpoint, 'unix:/run/söcket');
    assert.strictEqual(ttlMs, 60000n);
});

test('limits are met in full, and exceeded by nothing', async (t) => {
    const mesh = await startedMesh(t);
    const most = {
        name: 'n'.repeat(63),
        id: 'i'.repeat(127),
        endpoint: 'e'.repeat(255),
        port: 65535,
        version: 'v'.repeat(31),
        zone: 'z'.repeat(31),
        tags: Array.from({ length: 16 }, (_, i) => String.fromCharCode(97 + i).repeat(31)),
        weight: 65535,
        metadata: JSON.stringify('m'.repeat(4094)),
    };
    await mesh.registerService(most);
    const { metadata, ...rest } = most;
    const info = await mesh.getService(most.id);
    for (const [field, value] of Object.entries(rest)) assert.deepStrictEqual(info[field], value, field);
    assert.strictEqual(await mesh.getServiceMetadata(most.id), metadata);
    const { targets } = mesh.findMany([most.id]);
    assert.deepStrictEqual(targets[0], mesh.find(most.id));
    await assert.rejects(mesh.registerService({ ...most, id: 'other', metadata: `${metadata} ` }), { code: 2 });
    for (const field of ['name', 'id', 'endpoint', 'version', 'zone'])
        await assert.rejects(mesh.registerService({ ...most, [field]: `${most[field]}x` }), { code: 2 }, field);
    for (const [field, value] of [
        ['port', 65536],
        ['weight', 65536],
        ['tags', [...most.tags, 'q']],
        ['tags', ['t'.repeat(32)]],
    ])
        await assert.rejects(mesh.registerService({ ...most, id: 'other', [field]: value }), { code: 2 }, field);
});

test('what the bridge would change silently is refused', async (t) => {
    const mesh = await startedMesh(t);
    const good = { name: 'web', id: 'web-1', endpoint: '127.0.0.1', port: 80 };
    const bad = [
        { id: 'a\0b' },
        { id: '\ud800' },
        { id: 5 },
        { name: {} },
        { endpoint: 'a\0' },
        { port: -1 },
        { port: 1.5 },
        { port: '80' },
        { port: NaN },
        { port: 65536 + 80 },
        { weight: 2 ** 32 + 5 },
        { ttlMs: -1 },
        { ttlMs: 2n ** 64n },
        { ttlMs: 1e300 },
        { tags: 'tag' },
        { tags: ['a', 5] },
        { metadata: 10n },
        { metadata: "{'a':1}" },
        { metadata: '"\ud800"' },
        { id: null },
        { name: undefined },
    ];
    for (const change of bad)
        await assert.rejects(
            mesh.registerService({ ...good, ...change }),
            InvalidParameterError,
            JSON.stringify(Object.keys(change)),
        );
    await assert.rejects(mesh.registerService(null), InvalidParameterError);
    await assert.rejects(mesh.setServiceWeight('a', undefined), InvalidParameterError);
    await assert.rejects(mesh.getLatency(null, '0.5'), InvalidParameterError);
    for (const id of ['a\0', '\udc00x', 5, null, undefined, {}, 'i'.repeat(128), ''])
        assert.throws(() => mesh.find(id), InvalidParameterError);
    assert.throws(() => mesh.findMany('abc'), InvalidParameterError);
    assert.throws(() => mesh.report(-1n, 1, true), InvalidParameterError);
    assert.throws(() => mesh.report({}, 1, true), InvalidParameterError);
    assert.throws(() => mesh.endRequest(1n, 0.5, true), InvalidParameterError);
    assert.throws(() => new CommyMesh(5, 80), InvalidParameterError);
    assert.throws(() => new CommyMesh('n', 70000), InvalidParameterError);
    assert.strictEqual(await mesh.getActiveServiceCount(), 0);
});

test('the sentence of a refused value shows it, and not all of it', async (t) => {
    const mesh = await startedMesh(t);
    assert.throws(
        () => mesh.find(`${'x'.repeat(5000)}\0`),
        (error) => /service id "xxx/.test(error.message) && error.message.length < 200,
    );
    await assert.rejects(mesh.registerService('web', 'a', 'h', 70000), /port 70000 is not an integer from 0 to 65535/);
});
