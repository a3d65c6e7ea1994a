/* What docs/node.md shows is run, section by section, with a service auth-1 that answers. */
import { startedMesh } from './support.js';
import assert from 'node:assert';
import fs from 'node:fs';
import { createServer } from 'node:http';
import { test } from 'node:test';
import * as commy from 'commy';

const page = fs.readFileSync(new URL('../../../docs/node.md', import.meta.url), 'utf8');
const { default: _, ...names } = commy;
const AsyncFunction = (async () => {}).constructor;

/** The indented lines of each section. */
const sections = page
    .split(/^## /m)
    .slice(1)
    .map((text) => [
        text.split('\n', 1)[0],
        text
            .split('\n')
            .filter((line) => line.startsWith('    '))
            .join('\n'),
    ]);

async function run(code, given) {
    const scope = { ...names, ...given };
    await new AsyncFunction(...Object.keys(scope), code)(...Object.values(scope));
}

for (const [title, code] of sections) {
    if (title === 'What it costs') continue;
    test(`the page shows what works: ${title}`, async (t) => {
        const server = createServer((request, response) => response.end('hello'));
        await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
        const mesh = await startedMesh(t);
        await mesh.registerService('auth', 'auth-1', '127.0.0.1', server.address().port);
        const printed = [];
        const console = { log: (...values) => printed.push(values.map(String).join(' ')) };
        const setInterval = (beat) => beat();
        try {
            if (title === 'A start') await run(code.replace(/^ *import .*/, ''), { fetch });
            else await run(code, { mesh, console, setInterval, fetch });
        } finally {
            server.close();
            server.closeAllConnections?.();
        }
        if (title === 'Watching') assert.deepStrictEqual(printed, ['auth-1']);
        if (title === 'Errors') assert.match(printed[0], /^5 NOT_FOUND no live service has the id nobody in mesh /);
    });
}

test('the page has sections', () => {
    assert.ok(sections.length >= 8);
});
