import { describeConformance } from '@rwkv-js/testing';
import { openWasm } from './open.ts';

for (const threads of [1, 2]) {
  describeConformance(`the wasm device, ${threads} threads`, () => openWasm({ threads }));
}
