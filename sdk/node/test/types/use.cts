/* The definitions as a CommonJS program sees them. Compiled, never run. */
import commy = require('commy');

async function use(): Promise<number> {
    const mesh = new commy.CommyMesh('node', 8080);
    await mesh.initialize();
    try {
        return mesh.find('a').port;
    } catch (error) {
        if (error instanceof commy.NotFoundError) return error.code;
        throw error;
    } finally {
        await mesh.cleanup();
    }
}

export = use;
