export * from './index.js';
import * as commy from './index.js';
export default commy;
