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
  test('of RWKV-7 launches seven kernels a layer where there are composites', () => {
    const source = randomWeights(rwkv7Entries(releasedShapes['0.1b']!, 'f16'));
    expect(callsOfALayer(step(source))).toBe(7);
    // Seven for each of twelve layers; tokens, embedding, its norm; sum, rows, norm, head, sample, what was
    // drawn, score.
    expect(plan(step(source), idealKernels).calls).toHaveLength(12 * 7 + 10);
  });

  test('of RWKV-7 lists one layer like this', () => {
    const text = formatProgram(step(specificationWeights('7')));
    const lines = text.split('\n');
    const from = lines.findIndex((line) => line.includes('state.1.att_x') && line.includes('='));
    const to = lines.findIndex(
      (line) => line.includes('linearOfSparse') && line.includes('blocks.1'),
    );
    expect(lines.slice(from, to + 1).join('\n')).toMatchInlineSnapshot(`
      "  %114: f32[1, 16], %115: f32[6, 1, 16], %116: f32[1, 16] -> state.1.att_x = normShiftMix(%75, blocks.1.ln1.weight, blocks.1.ln1.bias, %113, state.1.att_x, offsets, %80, epsilon=0.00001)
        %117: f32[1, 16], %118: f32[1, 16], %119: f32[1, 16], %120: f32[1, 18] = timeMix7Project(%115, blocks.1.att.receptance.weight, blocks.1.att.key.weight, blocks.1.att.value.weight, %89, w=3, a=4, v=5, g=6)
        %122: f32[1, 16] = reshape(blocks.1.att.w0, shape=[1, 16])
        %124: f32[1, 16] = reshape(blocks.1.att.a0, shape=[1, 16])
        %126: f32[1, 16] = reshape(blocks.1.att.v0, shape=[1, 16])
        %128: f32[1, 16] = reshape(blocks.1.att.k_k, shape=[1, 16])
        %130: f32[1, 16] = reshape(blocks.1.att.k_a, shape=[1, 16])
        %132: f32[1, 16] = reshape(blocks.1.att.r_k, shape=[1, 16])
        %134: f32[1, 16] = reshape(blocks.1.att.ln_x.weight, shape=[1, 16])
        %136: f32[1, 16] = reshape(blocks.1.att.ln_x.bias, shape=[1, 16])
        %137: f32[8, 16] = concat(%122, %124, %126, %128, %130, %132, %134, %136, axis=0)
        %140: f32[1, 16], %141: f32[1, 2, 8, 8] -> state.1.wkv = timeMix7RaiseRecur(%120, %94, %137, %117, %118, %119, state.1.wkv, offsets, %45, w=3, a=4, v=5, g=6, epsilon=0.00064)
        %142: f32[1, 16] = linear(%140, blocks.1.att.output.weight)
        %149: f32[1, 16] = reshape(blocks.1.ffn.x_k, shape=[1, 16])
        %150: f32[1, 16] = concat(%149, axis=0)
        %151: f32[1, 16], %152: f32[1, 1, 16], %153: f32[1, 16] -> state.1.ffn_x = normShiftMix(%114, blocks.1.ln2.weight, blocks.1.ln2.bias, %150, state.1.ffn_x, offsets, %142, epsilon=0.00001)
        %154: f32[1, 16] = reshape(%152, shape=[1, 16])
        %155: f32[1, 64] = linearSquaredRelu(%154, blocks.1.ffn.key.weight)
        %156: f32[1, 16] = linearOfSparse(%155, blocks.1.ffn.value.weight)"
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
    // 2 rows and a matrix of 64 for each head, what penalties count, and the token drawn last.
    expect(memory.states).toBe(32 * (2 * 4096 + 64 * 4096) * 4 + 4 * 65536 + 4);
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
