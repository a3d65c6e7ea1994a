'use strict';
const { startedMesh, eventually } = require('./support.js');
const assert = require('node:assert');
const { createServer } = require('node:http');
const { test } = require('node:test');
const { Admin, Breaker, CircuitOpenError, CommyError, Health, NoHealthyError, NotFoundError } = require('commy');

const AT_ONCE = { checkIntervalMs: 20, timeoutMs: 1000, maxFailures: 1, recoveryChecks: 1 };

/** An HTTP server whose answers have the status that `server.status` says. */
async function serving(t) {
    const server = createServer((request, response) => {
        server.requests.push(request.url);
        response.statusCode = server.status;
        response.end();
    });
    server.requests = [];
    server.status = 200;
    await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
    t.after(() => server.close());
    return server;
}

test('health and admin state are set', async (t) => {
    const mesh = await startedMesh(t);
    await mesh.registerService('web', 'web-1', '127.0.0.1', 80);
    await mesh.setHealth('web-1', Health.UNHEALTHY);
    assert.strictEqual(mesh.find('web-1').status, Health.UNHEALTHY);
    assert.strictEqual((await mesh.getServiceHealth('web-1')).status, Health.UNHEALTHY);
    assert.throws(() => mesh.selectService('web'), NoHealthyError);
    await mesh.setHealth('web-1', Health.DEGRADED);
    assert.strictEqual(mesh.selectService('web').port, 80);
    await mesh.setAdmin('web-1', Admin.DRAINING);
    assert.throws(() => mesh.selectService('web'), NoHealthyError);
    assert.strictEqual((await mesh.getService('web-1')).admin, Admin.DRAINING);
    await mesh.setAdmin('web-1', Admin.ENABLED);
    assert.strictEqual(mesh.selectService('web').port, 80);
    await assert.rejects(mesh.setHealth('web-1', 4), { code: 2 });
    await assert.rejects(mesh.setAdmin('web-1', -1), { code: 2 });
    await assert.rejects(mesh.setHealth('nobody', Health.HEALTHY), NotFoundError);
});

test('a check on demand does not block the event loop, which may be what it checks', async (t) => {
    const mesh = await startedMesh(t);
    const server = await serving(t);
    const { port } = server.address();
    await mesh.registerService({ name: 'web', id: 'web-1', endpoint: '127.0.0.1', port, tags: ['check=http:/health'] });
    const [first, second] = await Promise.all([mesh.manualHealthCheck('web-1'), mesh.manualHealthCheck('web-1')]);
    assert.deepStrictEqual([first.status, second.status], [Health.HEALTHY, Health.HEALTHY]);
    assert.ok(first.responseTimeMs > 0);
    assert.deepStrictEqual(server.requests, ['/health', '/health']);
    server.status = 500;
    assert.strictEqual((await mesh.manualHealthCheck('web-1')).status, Health.UNHEALTHY);
});

test('a check that fails says why in the words of the library', async (t) => {
    const mesh = await startedMesh(t);
    for (const id of ['nobody-1', 'nobody-2'])
        await assert.rejects(
            mesh.manualHealthCheck(id),
            (error) => error instanceof NotFoundError && error.message.includes(id),
        );
});

test('a monitored service is healthy while it answers', async (t) => {
    const mesh = await startedMesh(t);
    const server = await serving(t);
    const { port } = server.address();
    await mesh.registerService({ name: 'web', id: 'web-1', endpoint: '127.0.0.1', port, tags: ['check=http'] });
    await mesh.startHealthMonitoring('web-1', AT_ONCE);
    const becomes = (status) => eventually(async () => (await mesh.getServiceHealth('web-1')).status === status);
    assert.ok(await becomes(Health.HEALTHY));
    server.status = 503;
    assert.ok(await becomes(Health.UNHEALTHY));
    server.status = 204;
    assert.ok(await becomes(Health.HEALTHY));
    await mesh.stopHealthMonitoring('web-1');
    await assert.rejects(mesh.stopHealthMonitoring('web-1'), NotFoundError);
});

test('a configuration is checked as a whole', async (t) => {
    const mesh = await startedMesh(t);
    await mesh.registerService('web', 'web-1', '127.0.0.1', 80);
    await mesh.configure({ health: AT_ONCE, loadBalancer: { algorithm: 4 } });
    await mesh.configure({});
    for (const wrong of [{ checkIntervalMs: 0 }, { timeoutMs: 0 }, { maxFailures: 0 }, { recoveryChecks: 256 }]) {
        await assert.rejects(mesh.configure({ health: wrong }), { code: 2 }, JSON.stringify(wrong));
        await assert.rejects(mesh.startHealthMonitoring('web-1', wrong), { code: 2 }, JSON.stringify(wrong));
    }
    await assert.rejects(mesh.configure({ loadBalancer: { algorithm: 17 } }), { code: 2 });
});

test('failures open a breaker, and a reset closes it', async (t) => {
    const mesh = await startedMesh(t);
    await mesh.registerService('web', 'web-1', '127.0.0.1', 80);
    await mesh.configureLoadBalancer({ circuitBreaker: { threshold: 3, timeoutMs: 60000 } });
    assert.deepStrictEqual(await mesh.getCircuitBreakerStatus('web-1'), { state: Breaker.CLOSED, failures: 0 });
    for (let i = 0; i < 3; i++) mesh.report(mesh.find('web-1'), 1000, false);
    const { state } = await mesh.getCircuitBreakerStatus('web-1');
    assert.strictEqual(state, Breaker.OPEN);
    assert.throws(
        () => mesh.selectService('web'),
        (error) => error instanceof CircuitOpenError || error instanceof NoHealthyError,
    );
    await mesh.resetCircuitBreaker('web-1');
    assert.strictEqual((await mesh.getCircuitBreakerStatus('web-1')).state, Breaker.CLOSED);
    assert.strictEqual(mesh.selectService('web').port, 80);
    await assert.rejects(mesh.getCircuitBreakerStatus('nobody'), CommyError);
});

test('the requests of a name are summed up', async (t) => {
    const mesh = await startedMesh(t);
    for (const i of [1, 2]) {
        await mesh.registerService('web', `web-${i}`, '127.0.0.1', 80);
        mesh.report(mesh.find(`web-${i}`), 1_000_000 * i, i === 1);
    }
    const { averageResponseTimeMs, ...counted } = await mesh.getLoadBalancerStatistics('web');
    assert.deepStrictEqual(counted, { totalRequests: 2n, successfulRequests: 1n, failedRequests: 1n });
    assert.ok(Math.abs(averageResponseTimeMs - 1.5) < 0.01);
    await assert.rejects(mesh.getLoadBalancerStatistics('nobody'), NotFoundError);
});
