import { openCpu, randomBits, sample } from '@rwkv-js/core';
import {
  conformanceCases,
  firstDifference,
  prepareCase,
  RandomTensors,
  runCase,
  type ConformanceCase,
} from '@rwkv-js/testing';
import { tensor } from '@rwkv-js/tensor';
import { afterAll, expect, test } from 'vitest';
import { describeOn, isSlow } from '../test/adapter.ts';
import { openChecked } from '../test/checked-device.ts';
import { checkedShader } from '../test/checked-shader.ts';
import { leastAdapter } from '../test/least-adapter.ts';

/** Runs with other nonsense for each case that takes indexes. */
const rounds = 5;

/** Whole numbers that no case counts on. */
const landmarks = [-1, -2, -7, 0, 1, 2, 100, 1000, -(2 ** 31), 2 ** 31 - 1];

/** Nonsense for the whole numbers of a case: below zero, at the ends of what it has, and far past them. */
function putNonsense({ tensors }: ConformanceCase, round: number): void {
  const sizes = tensors.flatMap(({ tensor: { shape } }) => [...shape]);
  const choices = [...sizes.flatMap((size) => [size - 1, size, size + 1]), ...landmarks];
  tensors.forEach(({ tensor: { dtype, data } }, at) => {
    if (dtype !== 'i32') return;
    data.forEach((_, i) => (data[i] = choices[randomBits(round, at, i) % choices.length]!));
  });
}

/** A case whose numbers may be changed. */
function copyOf(one: ConformanceCase): ConformanceCase {
  const tensors = one.tensors.map(({ role, tensor: own }) => ({
    role,
    tensor: { ...own, data: own.data.slice() },
  }));
  return { ...one, tensors };
}

/** So many tokens that work groups share a row. */
function drawsFromMany(): ConformanceCase {
  const random = new RandomTensors(7);
  const [rows, vocabulary] = [3, 2600];
  const settings = [1, 0.5, 0, 0, 0, 1, 0.7, 0.95, 30, 0.2, 0.2, 0.99, 1, 1, 0, 0, 0, 1];
  return {
    op: 'sample',
    name: 'a large vocabulary',
    tolerance: 'elementwise',
    tensors: [
      { role: 'input', tensor: random.floats([rows, vocabulary], -4, 4) },
      { role: 'input', tensor: tensor([rows], [0, 1, 2], 'i32') },
      { role: 'input', tensor: tensor([rows, 6], settings) },
      { role: 'input', tensor: tensor([rows, 2], [7, 1, 7, 2, 8, 1], 'i32') },
      { role: 'parameter', tensor: random.floats([vocabulary], 0, 1) },
      { role: 'state', tensor: random.floats([rows, vocabulary], 0, 1) },
    ],
    build: (logits, slots, set, key, counts, seen) =>
      sample(logits!, slots!, set!, key!, counts!, seen!),
    updates: [[1, 5]],
  };
}

/**
 * Checked shaders take a driver without a card five minutes to compile for all cases, as its own adapter and as the
 * least. So of each operation's cases every sixth is run, as its own; with EVERY_CASE=1 in the environment all, as both.
 */
const everyCase = process.env['EVERY_CASE'] === '1';
const stride = 6;

const checked = isSlow ? undefined : await openChecked();
afterAll(() => checked?.device.dispose());
if (isSlow) console.warn('Kernels are not checked: this driver takes minutes for such shaders.');

describeOn(checked?.device, 'no kernel', (device) => {
  const { violations, restricted } = checked!;
  const devices = [device, restricted(leastAdapter)];
  const places = new Map<string, number>();
  const cases = [...conformanceCases, drawsFromMany()].flatMap((one) => {
    const place = places.get(one.op) ?? 0;
    places.set(one.op, place + 1);
    const on = everyCase ? devices : devices.slice(0, 1);
    const isRun = everyCase || place % stride === 0;
    return isRun ? [[`${one.op}: ${one.name}`, one, on] as const] : [];
  });

  test.each(cases)(
    'leaves its arrays, whatever the indexes, or needs cleared memory: %s',
    async (_, one, on) => {
      await using oracle = openCpu({ precision: 'f64' });
      const expected = await runCase(oracle, one);
      const hasIndexes = one.tensors.some(({ tensor: { dtype } }) => dtype === 'i32');
      for (const each of on) {
        const own = copyOf(one);
        const prepared = await prepareCase(each, own);
        const found = await prepared.run();
        expect(await violations()).toEqual([]);
        expect(firstDifference(one, found, expected)).toBeUndefined();
        for (let round = 0; hasIndexes && round < rounds; round++) {
          putNonsense(own, round);
          await prepared.run();
        }
        expect(await violations()).toEqual([]);
        prepared.dispose();
      }
    },
  );
});

describeOn(checked?.device, 'a shader', ({ gpu, pipelines }) => {
  /** Runs a shader on two buffers of four words, and gives the second. */
  const resultOf = async (label: string, module: string, main: string): Promise<Uint32Array> => {
    const buffers = [0, 1].map(() => checked!.device.createBuffer(16, 'four words'));
    const code = `@group(0) @binding(0) var<storage, read> source: array<u32, 4>;
@group(0) @binding(1) var<storage, read_write> goal: array<u32, 4>;
${module}
@compute @workgroup_size(4)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
${main}
}
`;
    const { pipeline, layout } = await pipelines.get(
      { code, access: ['read', 'read_write'] },
      label,
    );
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(1);
    pass.end();
    gpu.queue.submit([encoder.finish()]);
    const [bytes] = await checked!.device.readBytes([
      { buffer: buffers[1]!, byteOffset: 0, byteLength: 16 },
    ]);
    for (const buffer of buffers) buffer.destroy();
    return new Uint32Array(bytes!.buffer, bytes!.byteOffset, 4);
  };

  test.each([
    [
      'reads past a buffer',
      '',
      'goal[thread] = source[thread + 1u];',
      'source[thread + 1u] at 4 of 4',
    ],
    [
      'writes past a buffer and returns',
      '',
      'if (thread == 2u) { goal[thread * 4u] = 1u; return; }',
      'goal[thread * 4u] at 8 of 4',
    ],
    [
      'reads before work group memory',
      'var<workgroup> kept: array<vec4f, 4>;',
      'kept[thread] = vec4f(); workgroupBarrier(); goal[thread] = u32(kept[source[thread] + thread - 1u].x);',
      'kept[source[thread] + thread - 1u] at 4294967295 of 4',
    ],
    [
      'reads past an array of its own, within the index of another',
      '',
      'var own: array<u32, 3>; goal[own[thread]] = 1u;',
      'own[thread] at 3 of 3',
    ],
  ])('that %s is told of', async (label, module, main, told) => {
    await resultOf(label, module, main);
    expect(await checked!.violations()).toEqual([`${label}: ${told}`]);
    expect(await checked!.violations()).toEqual([]);
  });

  test('finds garbage in all of its work group memory', async () => {
    const found = await resultOf(
      'garbage',
      `struct Pair { score: f32, token: u32 }
var<workgroup> numbers: array<f32, 9>;
var<workgroup> pairs: array<Pair, 4>;
var<workgroup> counts: array<atomic<u32>, 4>;
var<workgroup> bounds: vec2u;`,
      `goal[0] = bitcast<u32>(numbers[thread + 5u]);
  goal[1] = pairs[thread].token;
  goal[2] = atomicLoad(&counts[thread]);
  goal[3] = bounds.y;`,
    );
    expect(new Set(found)).toEqual(new Set([0x7fc0ffee]));
    expect(await checked!.violations()).toEqual([]);
  });
});

test('a shader whose arrays share a name is not checked wrongly', () => {
  const code = `var<workgroup> sums: array<f32, 4>;
@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) thread: u32) {
  var sums: array<f32, 8>;
}
`;
  expect(() => checkedShader(code, () => 0)).toThrow(/two arrays of the shader are named sums/);
});
