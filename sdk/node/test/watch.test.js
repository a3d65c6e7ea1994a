'use strict';
const { startedMesh, run } = require('./support.js');
const assert = require('node:assert');
const { test } = require('node:test');
const { InterruptedError, InvalidParameterError, NoHandleError, NotRunningError, TimedOutError } = require('commy');

const soon = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test('a watch yields the state as it is, and after each change', async (t) => {
    const mesh = await startedMesh(t);
    const seen = [];
    for await (const { version, services } of mesh.watch('web')) {
        assert.strictEqual(typeof version, 'bigint');
        seen.push(services.map(({ port }) => port));
        if (seen.length === 1) assert.deepStrictEqual(services, []);
        if (services.length === 2) break;
        setTimeout(() => mesh.registerService('web', `web-${services.length}`, 'h', 1 + services.length), 20);
    }
    assert.deepStrictEqual(seen.at(-1).sort(), [1, 2]);
});

test('the whole mesh may be watched', async (t) => {
    const mesh = await startedMesh(t);
    await mesh.registerService('web', 'web-1', 'h', 1);
    for await (const { services } of mesh.watch()) {
        assert.strictEqual(services.length, 1);
        break;
    }
});

test('the last of many changes is never missed', async (t) => {
    const mesh = await startedMesh(t);
    const abort = new AbortController();
    const changes = (async () => {
        for (let i = 1; i <= 200; i++) {
            await mesh.registerService('web', `web-${i}`, 'h', i);
            await mesh.unregisterService(`web-${i}`);
            if (i % 20 === 0) await soon(1);
        }
        await mesh.registerService('web', 'last', 'h', 9);
    })();
    for await (const { services } of mesh.watch('web', { signal: abort.signal })) if (services[0]?.id === 'last') break;
    await changes;
});

test('an abort ends a watch with its reason', async (t) => {
    const mesh = await startedMesh(t);
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 50);
    await assert.rejects(
        async () => {
            for await (const { services } of mesh.watch('web', { signal: abort.signal }))
                assert.deepStrictEqual(services, []);
        },
        { name: 'AbortError' },
    );
});

test('death ends what a watch shows', async (t) => {
    const mesh = await startedMesh(t, { mesh: 'watched' });
    const program = `
    const { CommyMesh } = require('commy');
    const mesh = new CommyMesh('child', 1, { mesh: 'watched' });
    mesh.initialize().then(() => mesh.registerService('web', 'web-1', 'h', 1)).then(() => console.log('ready'));
    setInterval(() => {}, 1000);
  `;
    const { child, ready } = run(program);
    await ready;
    let shown = 0;
    for await (const { services } of mesh.watch('web', { signal: AbortSignal.timeout(5000) })) {
        if (services.length === 1) {
            shown++;
            child.kill('SIGKILL');
        } else if (shown > 0) break;
    }
    assert.ok(shown > 0);
});

test('stopping ends a watch', async (t) => {
    const mesh = await startedMesh(t);
    setTimeout(() => mesh.stop(), 50);
    await assert.rejects(async () => {
        for await (const change of mesh.watch('web')) assert.ok(change);
    }, NotRunningError);
});

test('an opened watch waits, times out, is woken and closed', async (t) => {
    const mesh = await startedMesh(t);
    const watch = await mesh.openWatch('web');
    const first = await watch.wait();
    assert.ok(first > 0n);
    assert.strictEqual(await watch.isReadable(), false);
    await assert.rejects(watch.wait({ timeoutMs: 0 }), TimedOutError);
    await assert.rejects(watch.wait({ timeoutMs: 40 }), /within 40 ms/);
    await mesh.registerService('web', 'web-1', 'h', 1);
    await soon(200);
    assert.strictEqual(await watch.isReadable(), true);
    assert.ok((await watch.wait({ timeoutMs: 1000 })) > first);
    setTimeout(() => watch.wake(), 20);
    await assert.rejects(watch.wait(), InterruptedError);
    const both = [watch.wait(), watch.wait()];
    setTimeout(() => mesh.unregisterService('web-1'), 20);
    assert.ok((await Promise.any(both)) > first);
    setTimeout(() => watch.close(), 20);
    await Promise.allSettled(both);
    await assert.rejects(watch.wait(), (error) => error instanceof NoHandleError || error instanceof InterruptedError);
    assert.throws(() => watch.fd, NoHandleError);
    assert.throws(() => watch.close(), NoHandleError);
    assert.throws(() => watch.wake(), NoHandleError);
    await watch[Symbol.asyncDispose]();
});

test('closing ends a wait under way', async (t) => {
    const mesh = await startedMesh(t);
    const watch = await mesh.openWatch(null);
    await watch.wait();
    setTimeout(() => watch.close(), 20);
    await assert.rejects(watch.wait(), InterruptedError);
});

test('a bad name, and a mesh that is none, are not watched', async (t) => {
    const mesh = await startedMesh(t);
    await assert.rejects(mesh.openWatch(''), InvalidParameterError);
    await assert.rejects(mesh.openWatch('a\0'), InvalidParameterError);
    await mesh.cleanup();
    await assert.rejects(mesh.openWatch('web'), NoHandleError);
    await assert.rejects(mesh.watch('web').next(), NoHandleError);
});

test('a watch that is not waited for keeps no program running, nor its number when forgotten', async () => {
    const program = `
    const { CommyMesh } = require('commy');
    (async () => {
      const mesh = new CommyMesh('child', 1, { mesh: 'forgetful', capacity: 64 });
      await mesh.initialize();
      for (let i = 0; i < 1500; i++) {
        await (await mesh.openWatch('web')).wait();
        if (i % 100 === 0) {
          gc();
          await new Promise(setImmediate);
        }
      }
      const idle = await mesh.openWatch('web');
      await idle.wait();
      console.log('done', idle.fd > 0);
    })();
  `;
    const { output, errors, code } = await run(program, ['--expose-gc']).ended;
    assert.strictEqual(output, 'done true\n', errors);
    assert.strictEqual(code, 0);
});
