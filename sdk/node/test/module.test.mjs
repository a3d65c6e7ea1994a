import './support.js';
import assert from 'node:assert';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import * as imported from 'commy';

const required = createRequire(import.meta.url)('commy');
const definitions = fs.readFileSync(new URL('../index.d.ts', import.meta.url), 'utf8');

test('import and require give the same classes', () => {
    const { default: whole, ...named } = imported;
    assert.strictEqual(whole, required);
    assert.deepStrictEqual(Object.keys(named).sort(), Object.keys(required).sort());
    for (const [name, value] of Object.entries(named)) assert.strictEqual(value, required[name], name);
});

test('the definitions declare all that there is, and nothing else', () => {
    const declared = [...definitions.matchAll(/^export declare (?:class|function|const) (\w+)/gm)].map(
        ([, name]) => name,
    );
    assert.deepStrictEqual(declared.sort(), Object.keys(required).sort());
});

for (const type of ['CommyMesh', 'Watch'])
    test(`the definitions declare every method of ${type}`, () => {
        const [, body] = definitions.match(new RegExp(`^export declare class ${type} \\{\n(.*?)^\\}`, 'ms'));
        const declared = [...body.matchAll(/^ {4}(?:private |get )?(\w+)(?:<\w+>)?[(:]/gm)].map(([, name]) => name);
        const there = Object.getOwnPropertyNames(required[type].prototype);
        assert.deepStrictEqual([...new Set(declared)].sort(), there.sort());
    });

test('a module runs the usual flow', async () => {
    const mesh = new imported.CommyMesh('module', 8080);
    await mesh.initialize();
    await mesh.start();
    await mesh.registerService('auth-service', 'auth-1', '127.0.0.1', 3001);
    assert.strictEqual((await mesh.discoverServices('auth-service')).length, 1);
    await mesh.cleanup();
});
