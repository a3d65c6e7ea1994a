'use strict';
require('./support.js');
const assert = require('node:assert');
const { test } = require('node:test');
const { CommyMesh, version } = require('commy');

test('the usual flow is seven lines', async () => {
    const mesh = new CommyMesh('test-node', 8080);
    await mesh.initialize();
    await mesh.start();
    await mesh.registerService('auth-service', 'auth-1', '127.0.0.1', 3001);
    const services = await mesh.discoverServices('auth-service');
    const stats = await mesh.getStatistics();
    assert.strictEqual(await mesh.isRunning(), true);
    assert.strictEqual(await mesh.getNodeId(), 'test-node');
    await mesh.stop();
    assert.strictEqual(await mesh.isRunning(), false);
    await mesh.cleanup();

    assert.strictEqual(services.length, 1);
    const { registeredAtNs, ...rest } = services[0];
    assert.deepStrictEqual(rest, {
        name: 'auth-service',
        id: 'auth-1',
        endpoint: '127.0.0.1',
        port: 3001,
        version: '',
        zone: '',
        nodeId: 'test-node',
        tags: [],
        weight: 100,
        ownerPid: process.pid,
        status: 1,
        admin: 0,
        metadataBytes: 0,
        responseTimeMs: 0,
    });
    assert.ok(Math.abs(Number(registeredAtNs / 1000000n) - Date.now()) < 60000);
    assert.deepStrictEqual(stats, {
        totalServices: 1,
        healthyServices: 1,
        unhealthyServices: 0,
        registeredServices: 1,
        totalRequests: 0n,
        successfulRequests: 0n,
        failedRequests: 0n,
        averageResponseTimeMs: 0,
    });
});

test('the library says its version', () => {
    assert.match(version(), /^\d+\.\d+\.\d+$/);
});

test('a mesh cleaned up may be initialized anew, and cleaning up twice is success', async () => {
    const mesh = new CommyMesh('again', 8080);
    await mesh.cleanup();
    for (let i = 0; i < 3; i++) {
        assert.strictEqual(await mesh.initialize(), mesh);
        await mesh.initialize();
        await mesh.start();
        await mesh.start();
        await mesh.registerService('again', 'again-1', '127.0.0.1', 1000 + i);
        assert.strictEqual(mesh.find('again-1').port, 1000 + i);
        await mesh.stop();
        await mesh.stop();
        await mesh.cleanup();
        await mesh.cleanup();
    }
});

test('disposing is cleaning up', async () => {
    const mesh = new CommyMesh('disposed', 8080);
    await mesh.initialize();
    await mesh[Symbol.asyncDispose]();
    await assert.rejects(mesh.isRunning(), { code: 3 });
});
