import {
  add,
  linear,
  linearOfSparse,
  linearSquaredRelu,
  quantize,
  relu,
  reshape,
  slice,
  square,
  timeMix7Project,
} from '@rwkv-js/core';
import { f32, isPacked, rewrite, UsageError, type Program, type Value } from '@rwkv-js/tensor';

/** Names of the two parameters that an adapter has for a matrix. */
export function factorNames(matrix: string, adapter: number): { down: string; up: string } {
  return { down: `${matrix}.adapter${adapter}.down`, up: `${matrix}.adapter${adapter}.up` };
}

/**
 * A program whose products with some matrices have a low-rank product beside them: y = x Wᵀ + x downᵀ upᵀ,
 * with down [rank, in] and up [out, rank] as further parameters, f32. W stays as it lies on the device,
 * whatever it is packed in. Specification, LoRA.
 *
 * @param ranks of the adapter by the name of the matrix
 * @param adapter tells the parameters of one adapter from those of another
 */
export function adaptedProgram(
  program: Program,
  ranks: ReadonlyMap<string, number>,
  adapter: number,
): Program {
  // The rows that were quantised: what an adapter adds is small, and is computed from them as they were.
  const exact = new Map<Value, Value>();
  return rewrite(program, ({ definition, attributes, inputs: ids, outputs: made }, inputs) => {
    if (definition === quantize.definition) {
      const [rows] = inputs as readonly [Value];
      const quantized = quantize(rows);
      exact.set(quantized, rows);
      return [quantized];
    }
    if (attributes['quantized']) {
      // Rows that are quantised where they are made are made first here, as an adapter takes them.
      const outputs = inputs[0]!.recorder.apply(definition, inputs, {
        ...attributes,
        quantized: undefined,
      });
      return outputs.map((rows, i) => {
        if (!isPacked(program.values[made[i]!]!.spec.dtype)) return rows;
        const quantized = quantize(rows);
        exact.set(quantized, rows);
        return quantized;
      });
    }
    const names = ids.map((id) => {
      const { kind, name } = program.values[id]!;
      return kind === 'parameter' && name !== undefined && ranks.has(name) ? name : undefined;
    });
    if (names.every((name) => name === undefined)) return undefined;
    /** y with what the adapter adds for the matrix at that place, where it adds something. */
    const corrected = (y: Value, x: Value, place: number): Value => {
      const name = names[place];
      if (name === undefined) return y;
      const rank = ranks.get(name)!;
      const [out, width] = inputs[place]!.shape as readonly [number, number];
      const factors = factorNames(name, adapter);
      const down = x.recorder.parameter(factors.down, f32(rank, width));
      const up = x.recorder.parameter(factors.up, f32(out, rank));
      return add(y, linear(linear(exact.get(x) ?? x, down), up));
    };
    const [x, weight] = inputs as readonly [Value, Value];
    switch (definition) {
      case linear.definition:
        return [corrected(linear(x, weight), x, 1)];
      case linearOfSparse.definition:
        return [corrected(linearOfSparse(x, weight), x, 1)];
      case linearSquaredRelu.definition:
        return [square(relu(corrected(linear(x, weight), x, 1)))];
      case timeMix7Project.definition:
        return projections(
          x.recorder.apply(definition, inputs, attributes),
          exact.get(x) ?? x,
          corrected,
        );
      default:
        throw new UsageError(
          `an adapter changes ${names.find(Boolean)}, which ${definition.name} takes, and only products ` +
            'of matrices can be adapted at run time; merge it when the model is loaded',
        );
    }
  });
}

/** The results of `timeMix7Project`, those of receptance, key and value corrected. */
function projections(
  outputs: readonly Value[],
  mixed: Value,
  corrected: (y: Value, x: Value, place: number) => Value,
): readonly Value[] {
  const [r, k, v, low] = outputs as readonly [Value, Value, Value, Value];
  const [, tokens, width] = mixed.shape as readonly [number, number, number];
  // The mixes are r, w, k, v, a, g; receptance, key and value are its arguments 1, 2 and 3.
  const mix = (at: number): Value =>
    reshape(slice(mixed, { axis: 0, start: at, end: at + 1 }), { shape: [tokens, width] });
  return [corrected(r, mix(0), 1), corrected(k, mix(2), 2), corrected(v, mix(3), 3), low];
}
