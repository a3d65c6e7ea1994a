'use strict';
const { startedMesh } = require('./support.js');
const assert = require('node:assert');
const { test } = require('node:test');
const { Algorithm, NoHealthyError, NotFoundError } = require('commy');

async function withThree(t) {
    const mesh = await startedMesh(t);
    for (const i of [1, 2, 3]) await mesh.registerService('web', `web-${i}`, '127.0.0.1', 8000 + i);
    return mesh;
}

test('round robin takes turns', async (t) => {
    const mesh = await withThree(t);
    const picks = Array.from({ length: 300 }, () => mesh.selectService('web').port);
    for (const port of [8001, 8002, 8003]) assert.strictEqual(picks.filter((pick) => pick === port).length, 100);
});

test('the same client gets the same instance by consistent hash', async (t) => {
    const mesh = await withThree(t);
    await mesh.configureLoadBalancer({ algorithm: Algorithm.CONSISTENT_HASH });
    const seen = new Set();
    for (let client = 0; client < 100; client++) {
        const port = mesh.selectService('web', `client-${client}`).port;
        assert.strictEqual(mesh.selectService('web', `client-${client}`).port, port);
        seen.add(port);
    }
    assert.strictEqual(seen.size, 3);
});

test('a weight of 0 is not selected by weight', async (t) => {
    const mesh = await withThree(t);
    await mesh.configureLoadBalancer({ algorithm: Algorithm.WEIGHTED_ROUND_ROBIN });
    for (const i of [1, 2, 3]) await mesh.setServiceWeight(`web-${i}`, 0);
    assert.throws(() => mesh.selectService('web'), NoHealthyError);
    await mesh.setServiceWeight('web-2', 1);
    assert.strictEqual(mesh.selectService('web').port, 8002);
    assert.throws(() => mesh.selectService('nobody'), NotFoundError);
});

test('an unknown algorithm, and a breaker without a threshold, are refused', async (t) => {
    const mesh = await withThree(t);
    await assert.rejects(mesh.configureLoadBalancer({ algorithm: 9 }), { code: 2 });
    await assert.rejects(mesh.configureLoadBalancer({ circuitBreaker: { threshold: 0, timeoutMs: 1 } }), { code: 2 });
    await mesh.configureLoadBalancer({ circuitBreaker: { threshold: 3, timeoutMs: 1000n } });
});

test('requests are counted, with their outcome and latency', async (t) => {
    const mesh = await withThree(t);
    const target = mesh.find('web-1');
    const token = mesh.beginRequest(target);
    mesh.endRequest(token, 2_000_000, true);
    assert.throws(() => mesh.endRequest(token, 1, true), { code: 2 });
    mesh.report(target.reference, 4_000_000n, false);
    mesh.reportServicePerformance('web-1', 6, true);
    const { totalRequests, successfulRequests, failedRequests, averageResponseTimeMs } = await mesh.getStatistics();
    assert.deepStrictEqual([totalRequests, successfulRequests, failedRequests], [3n, 2n, 1n]);
    assert.ok(Math.abs(averageResponseTimeMs - 4) < 0.01);
    for (const of of ['web-1', 'web', null]) {
        const median = Number(await mesh.getLatency(of, 0.5));
        assert.ok(Math.abs(median - 4e6) <= 4e6 * 0.07, `median of ${of}: ${median}`);
    }
    await assert.rejects(mesh.getLatency('nobody', 0.5), NotFoundError);
});

test('request() counts what its work comes to', async (t) => {
    const mesh = await withThree(t);
    assert.strictEqual(typeof (await mesh.request('web', (target) => target.port)), 'number');
    await assert.rejects(
        mesh.request('web', async () => Promise.reject(new Error('refused'))),
        /refused/,
    );
    const { successfulRequests, failedRequests } = await mesh.getStatistics();
    assert.deepStrictEqual([successfulRequests, failedRequests], [1n, 1n]);
});

test('request() whose mesh was cleaned up meanwhile gives its result', async (t) => {
    const mesh = await withThree(t);
    const result = await mesh.request('web', async () => {
        await mesh.cleanup();
        return 'done';
    });
    assert.strictEqual(result, 'done');
});
