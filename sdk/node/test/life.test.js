'use strict';
const { run, startedMesh, eventually } = require('./support.js');
const assert = require('node:assert');
const { test } = require('node:test');

/** A program that registers web-1 in the mesh `life` and prints a line. */
function registering(rest) {
    return `
    const { CommyMesh } = require('commy');
    (async () => {
      let mesh = new CommyMesh('child', 8081, { mesh: 'life', capacity: 64 });
      await mesh.initialize();
      await mesh.registerService('web', 'web-1', '127.0.0.1', 80);
      ${rest}
    })();
  `;
}

const forever = "console.log('ready'); setInterval(() => {}, 1000);";

test('a process killed is gone for everybody, who are woken by it', async (t) => {
    const mesh = await startedMesh(t, { mesh: 'life' });
    const { child, ready, ended } = run(registering(forever));
    await ready;
    assert.strictEqual(mesh.find('web-1').port, 80);
    child.kill('SIGKILL');
    await ended;
    assert.throws(() => mesh.find('web-1'), { code: 5 });
});

test('a process that ends by itself leaves nothing, however it ends', async (t) => {
    const mesh = await startedMesh(t, { mesh: 'life' });
    for (const way of [
        '',
        'process.exit(0);',
        "throw new Error('thrown');",
        'mesh.wait(null, await mesh.wait(null, 0)); process.exit(0);',
    ]) {
        const { code, errors } = await run(registering(way)).ended;
        assert.strictEqual(code, way.startsWith('throw') ? 1 : 0, errors);
        assert.throws(() => mesh.find('web-1'), { code: 5 }, way);
    }
});

test('a mesh that is forgotten is cleaned up by the garbage collector', async (t) => {
    const mesh = await startedMesh(t, { mesh: 'life' });
    const { child, ready, ended } = run(registering(`${forever} mesh = null; setInterval(gc, 20);`), ['--expose-gc']);
    await ready;
    assert.ok(
        await eventually(() => {
            try {
                return !mesh.find('web-1');
            } catch (error) {
                return error.code === 5;
            }
        }),
    );
    assert.strictEqual(child.exitCode, null);
    child.kill();
    await ended;
});

test('a mesh in use is not collected', async (t) => {
    const mesh = await startedMesh(t, { mesh: 'life' });
    const uses = "gc(); console.log('ready'); setInterval(() => { gc(); mesh.find('web-1'); }, 10);";
    const { child, ready, ended } = run(registering(uses), ['--expose-gc']);
    await ready;
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.strictEqual(mesh.find('web-1').port, 80);
    assert.strictEqual(child.exitCode, null);
    child.kill();
    await ended;
});

test('a worker has meshes of its own, which end with it', async (t) => {
    const mesh = await startedMesh(t, { mesh: 'life' });
    const worker = registering("require('node:worker_threads').parentPort.postMessage(mesh.find('web-1').port);");
    const program = `
    const { Worker } = require('node:worker_threads');
    const { CommyMesh } = require('commy');
    const worker = new Worker(${JSON.stringify(worker)}, { eval: true });
    let port;
    worker.on('message', (message) => (port = message));
    worker.on('exit', async () => {
      const mesh = new CommyMesh('parent', 8082, { mesh: 'life' });
      await mesh.initialize();
      try {
        mesh.find('web-1');
      } catch (error) {
        console.log(port, error.code);
      }
    });
  `;
    const { output, errors } = await run(program).ended;
    assert.strictEqual(output, '80 5\n', errors);
    assert.strictEqual(await mesh.getActiveServiceCount(), 0);
});

test('cleanup() of the library ends every mesh, and new ones may be made', async () => {
    const program = registering(`
    require('commy').cleanup();
    try { mesh.find('web-1'); } catch (error) { console.log(error.code); }
    await mesh.initialize();
    console.log(await mesh.getActiveServiceCount());
  `);
    assert.strictEqual((await run(program).ended).output, '3\n0\n');
});
