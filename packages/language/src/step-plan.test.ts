import { cpuKernels } from '@rwkv-js/core';
import { randomWeights, specificationWeights } from '@rwkv-js/testing';
import {
  byteLength,
  costOf,
  elementCount,
  formatProgram,
  idealKernels,
  plan,
  type Program,
  type WeightSource,
} from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { readConfig } from './config.ts';
import { recordStep, type StepShape } from './frame.ts';
import { releasedShapes, rwkv7Entries } from './rwkv7-shapes.ts';

function step(source: WeightSource, shape: Partial<StepShape> = {}): Program {
  const dtypes = new Map([...source.tensors].map(([name, { dtype }]) => [name, dtype]));
  return recordStep(readConfig(source), dtypes, { tokens: 1, slots: 1, rows: 1, ...shape });
}

/** Kernels from where one layer reads its first state to where the next one does. */
function callsOfALayer(program: Program): number {
  const made = plan(program, idealKernels);
  const starts = made.calls.flatMap(({ operation }, at) => {
    const { inputs } = made.program.operations[operation]!;
    return inputs.some((id) => program.values[id]!.name?.endsWith('.att_x')) ? [at] : [];
  });
  return starts[1]! - starts[0]!;
}

describe('the plan of a step', () => {
  test('of RWKV-7 launches eight kernels a layer where there are composites', () => {
    const source = randomWeights(rwkv7Entries(releasedShapes['0.1b']!, 'f16'));
    expect(callsOfALayer(step(source))).toBe(8);
    // Eight for each of twelve layers; embedding, its norm; sum, rows, norm, head, sample, score.
    expect(plan(step(source), idealKernels).calls).toHaveLength(12 * 8 + 8);
  });

  test('of RWKV-7 lists one layer like this', () => {
    const text = formatProgram(step(specificationWeights('7')));
    const lines = text.split('\n');
    const from = lines.findIndex((line) => line.includes('state.1.att_x') && line.includes('='));
    const to = lines.findIndex(
      (line) => line.includes('linearOfSparse') && line.includes('blocks.1'),
    );
    expect(lines.slice(from, to + 1).join('\n')).toMatchInlineSnapshot(`
      "  %114: f32[1, 16], %115: f32[6, 1, 16], %116: f32[1, 16] -> state.1.att_x = normShiftMix(%76, blocks.1.ln1.weight, blocks.1.ln1.bias, %113, state.1.att_x, offsets, %83, epsilon=0.00001)
        %120: f32[1, 16], %121: f32[1, 16], %122: f32[1, 16], %123: f32[1, 18] = timeMix7Project(%115, blocks.1.att.receptance.weight, blocks.1.att.key.weight, blocks.1.att.value.weight, %92, w=3, a=4, v=5, g=6)
        %125: f32[1, 16] = reshape(blocks.1.att.w0, shape=[1, 16])
        %127: f32[1, 16] = reshape(blocks.1.att.a0, shape=[1, 16])
        %129: f32[1, 16] = reshape(blocks.1.att.v0, shape=[1, 16])
        %130: f32[3, 16] = concat(%125, %127, %129, axis=0)
        %131: f32[1, 16], %132: f32[1, 16], %133: f32[1, 16], %134: f32[1, 16] = timeMix7Raise(%123, %97, %130, %122, %43, w=3, a=4, v=5, g=6)
        %136: f32[1, 16] = reshape(blocks.1.att.k_k, shape=[1, 16])
        %138: f32[1, 16] = reshape(blocks.1.att.k_a, shape=[1, 16])
        %140: f32[1, 16] = reshape(blocks.1.att.r_k, shape=[1, 16])
        %142: f32[1, 16] = reshape(blocks.1.att.ln_x.weight, shape=[1, 16])
        %144: f32[1, 16] = reshape(blocks.1.att.ln_x.bias, shape=[1, 16])
        %145: f32[5, 16] = concat(%136, %138, %140, %142, %144, axis=0)
        %147: f32[1, 16], %148: f32[1, 2, 8, 8] -> state.1.wkv = timeMix7Recur(%120, %131, %121, %133, %132, %134, %145, state.1.wkv, offsets, epsilon=0.00064)
        %150: f32[1, 16] = linear(%147, blocks.1.att.output.weight)
        %155: f32[1, 16] = reshape(blocks.1.ffn.x_k, shape=[1, 16])
        %156: f32[1, 16] = concat(%155, axis=0)
        %157: f32[1, 16], %158: f32[1, 1, 16], %159: f32[1, 16] -> state.1.ffn_x = normShiftMix(%114, blocks.1.ln2.weight, blocks.1.ln2.bias, %156, state.1.ffn_x, offsets, %150, epsilon=0.00001)
        %160: f32[1, 16] = reshape(%158, shape=[1, 16])
        %163: f32[1, 64] = linearSquaredRelu(%160, blocks.1.ffn.key.weight)
        %164: f32[1, 16] = linearOfSparse(%163, blocks.1.ffn.value.weight)"
    `);
  });

  test.each([
    ['4', 25],
    ['5.0', 24],
    ['5.1', 28],
    ['5.2', 28],
    ['6', 54],
  ] as const)(
    'of RWKV-%s, which has no composites, launches %i kernels a layer',
    (version, calls) => {
      expect(callsOfALayer(step(specificationWeights(version)))).toBe(calls);
    },
  );

  test('of the 7.2B model takes the bytes of its parameters and nothing more', () => {
    const source = randomWeights(rwkv7Entries(releasedShapes['7.2b']!, 'f16'));
    const entries = [...source.tensors];
    const count = entries.reduce((sum, [, { shape }]) => sum + elementCount(shape), 0);
    // The count that the specification gives for this shape.
    expect(count).toBe(7_199_141_888);
    const bytes = entries.reduce((sum, [, entry]) => sum + byteLength(entry), 0);
    const { memory } = costOf(plan(step(source), idealKernels));
    expect(memory.parameters).toBe(bytes + 4 * 65536); // and the counts that sampling adds
    // 2 rows and a matrix of 64 for each head, and what penalties count.
    expect(memory.states).toBe(32 * (2 * 4096 + 64 * 4096) * 4 + 4 * 65536);
  });

  test('reads all parameters but the embedding once for a token', () => {
    const source = randomWeights(rwkv7Entries(releasedShapes['0.1b']!, 'f16'));
    const { bytesRead, memory } = costOf(plan(step(source), idealKernels));
    const embedding = byteLength(source.tensors.get('emb.weight')!);
    expect(bytesRead).toBeGreaterThan(memory.parameters - embedding + memory.states);
    expect(bytesRead).toBeLessThan((memory.parameters - embedding + memory.states) * 1.01);
  });

  test('needs little more memory for a prompt than what must live at once', () => {
    const source = randomWeights(rwkv7Entries(releasedShapes['0.1b']!, 'f16'));
    for (const table of [idealKernels, cpuKernels('f32')]) {
      const made = plan(step(source, { tokens: 64 }), table);
      const arena = made.buffers.find(({ kind }) => kind === 'intermediate')!.byteLength;
      expect(arena).toBeLessThanOrEqual(1.05 * largestLiveSet(made));
    }
  });
});

/** The most bytes of intermediate values that are live at one call of a plan. */
function largestLiveSet({ calls, buffers }: ReturnType<typeof plan>): number {
  const lives: { readonly first: number; last: number; readonly bytes: number }[] = [];
  const current = new Map<number, (typeof lives)[number]>();
  calls.forEach((call, at) => {
    for (const { buffer, byteOffset, byteLength: bytes, access } of call.buffers) {
      if (buffers[buffer]!.kind !== 'intermediate') continue;
      // A place in the arena serves several values in turn: a write begins a new life.
      if (access === 'write') {
        const life = { first: at, last: at, bytes };
        lives.push(life);
        current.set(byteOffset, life);
      } else {
        current.get(byteOffset)!.last = at;
      }
    }
  });
  return Math.max(
    ...calls.map((_, at) =>
      lives
        .filter(({ first, last }) => first <= at && at <= last)
        .reduce((sum, { bytes }) => sum + bytes, 0),
    ),
  );
}
