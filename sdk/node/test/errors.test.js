'use strict';
const { startedMesh, run } = require('./support.js');
const assert = require('node:assert');
const { test } = require('node:test');
const commy = require('commy');
const { CommyError, CommyMesh, Status } = commy;

test('every code has a class of its own, and knows its name', () => {
    const classes = Object.values(commy).filter(
        (type) => typeof type === 'function' && type.prototype instanceof CommyError,
    );
    const codes = classes.map((Type) => {
        const error = new Type('what it says');
        assert.ok(error instanceof Error);
        assert.strictEqual(error.message, 'what it says');
        assert.strictEqual(error.name, Type.name);
        assert.strictEqual(Status[error.status], error.code);
        assert.match(String(error), new RegExp(`^${Type.name}: what it says`));
        return error.code;
    });
    assert.deepStrictEqual(codes, Object.values(Status).slice(1));
});

test('what the library says is in the error', async (t) => {
    const mesh = await startedMesh(t);
    assert.throws(
        () => mesh.find('nobody'),
        (error) => {
            assert.ok(error instanceof commy.NotFoundError);
            assert.deepStrictEqual([error.code, error.status], [5, 'NOT_FOUND']);
            assert.match(error.message, /nobody/);
            assert.deepStrictEqual(commy.lastError(), { code: 5, message: error.message });
            return true;
        },
    );
});

test('calls that fail side by side keep their own sentences', async (t) => {
    const mesh = await startedMesh(t);
    const ids = Array.from({ length: 50 }, (_, i) => `nobody-${i}`);
    const results = await Promise.allSettled(ids.map((id) => mesh.getService(id)));
    results.forEach((result, i) => assert.match(result.reason.message, new RegExp(`${ids[i]}\\b`)));
});

test('each code that can be provoked', async (t) => {
    const mesh = await startedMesh(t, { capacity: 16 });
    const name = 'web';
    await mesh.registerService(name, 'web-1', '127.0.0.1', 80);
    await assert.rejects(mesh.registerService(name, 'web-1', '127.0.0.1', 80), commy.AlreadyExistsError);
    await assert.rejects(mesh.registerService('', 'web-2', '127.0.0.1', 80), commy.InvalidParameterError);
    await assert.rejects(
        new CommyMesh('n', 1, { mesh: 'none', mustExist: true }).initialize(),
        commy.MeshNotFoundError,
    );
    await assert.rejects(new CommyMesh('n', 1, { mustExist: true, mustNotExist: true }).initialize(), { code: 2 });
    await assert.rejects(new CommyMesh('n', 0).initialize(), commy.InvalidParameterError);
    await assert.rejects(new CommyMesh('n', 1).start(), commy.NoHandleError);
    await assert.rejects(async () => {
        for (let i = 2; ; i++) await mesh.registerService(name, `web-${i}`, '127.0.0.1', 80);
    }, commy.RegionFullError);
    await mesh.stop();
    assert.throws(() => mesh.find('web-1'), commy.NotRunningError);
    await mesh.destroy();
    await assert.rejects(mesh.destroy(), commy.NoHandleError);
    assert.throws(() => mesh.find('web-1'), commy.NoHandleError);
});

test('a mesh attached read-only looks up, waits, and changes nothing', async (t) => {
    const mesh = await startedMesh(t, { mesh: 'shared' });
    await mesh.registerService('web', 'web-1', '127.0.0.1', 80);
    const reader = await startedMesh(t, { mesh: 'shared' });
    const only = new CommyMesh('reader', 8080, { mesh: 'shared', readOnly: true });
    await only.initialize();
    t.after(() => only.cleanup());
    assert.strictEqual(only.find('web-1').reference, reader.find('web-1').reference);
    assert.ok((await only.wait('web', 0)) > 0n);
    await assert.rejects(only.registerService('web', 'web-2', '127.0.0.1', 80), commy.ReadOnlyError);
});

test('without the library the error says how to install it', async () => {
    const program =
        "require('commy').CommyMesh; try { require('commy').version() } catch (e) { console.log(e.code, e.message) }";
    const { ended } = run(program, [], { COMMY_LIBRARY: '/nowhere/libcommy.so.1' });
    const { output, code } = await ended;
    assert.strictEqual(code, 0);
    assert.match(output, /^1 cannot load \/nowhere\/libcommy\.so\.1: .*meson install.*COMMY_LIBRARY/s);
});

test('a library that lacks functions serves those that it has', async () => {
    const program = "const c = require('commy'); try { c.version() } catch (e) { console.log(e.code, e.message) }";
    const { output } = await run(program, [], { COMMY_LIBRARY: 'libc.so.6' }).ended;
    assert.match(output, /^1 .*has no commy_ffi_version: install a later one/);
});

test('a code that is not known yet is an error all the same', () => {
    const { errorOf } = require('../lib/errors.js');
    const error = errorOf(77, 'later');
    assert.ok(error instanceof CommyError);
    assert.deepStrictEqual([error.code, error.status, error.message], [77, 'CODE_77', 'later']);
});
