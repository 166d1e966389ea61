import type { KernelMaker, ShaderArguments } from '../kernel.ts';
import { float } from '../wgsl.ts';
import type { Product } from './product.ts';
import { kernelOf } from './products.ts';
import { factorsOf, sigmoid, tanh, type Ranks } from './time-mix7-factors.ts';

/** Receptance, key, value and the down halves of the low-rank maps in one launch; see core's composite. */
const timeMix7Project: KernelMaker = ({ inputs, outputs, attributes }, capabilities) => {
  const [, tokens, depth] = inputs[0]!.shape as [number, number, number];
  const mixes = ['r', 'w', 'k', 'v', 'a', 'g'];
  const common = { x: 0, firstColumn: 0, depth, transposed: false };
  const rowOf = (mix: string): number => mixes.indexOf(mix) * tokens;
  const square = (['r', 'k', 'v'] as const).map((mix, i): Product => {
    const out = inputs[1 + i]!.shape[0]!;
    return {
      ...common,
      weight: 1 + i,
      firstRow: rowOf(mix),
      firstOut: 0,
      out,
      store: ({ outputs: all }) => `${all[i]!.name}[t * ${out}u + o] = value;`,
    };
  });
  const total = outputs[3]!.shape[1]!;
  const down = factorsOf(attributes as unknown as Ranks).map(
    ({ letter, start, rank }): Product => ({
      ...common,
      weight: 4,
      firstRow: rowOf(letter),
      firstOut: start,
      out: rank,
      store: ({ outputs: [, , , low] }) => `${low!.name}[t * ${total}u + ${start}u + o] = value;`,
    }),
  );
  return kernelOf({
    tokens,
    inputs,
    capabilities,
    products: [...square, ...down],
  });
};

/** The up halves of the low-rank maps with what they are for; see core's composite. */
const timeMix7Raise: KernelMaker = ({ inputs, outputs, attributes }, capabilities) => {
  const [tokens, out] = outputs[0]!.shape as [number, number];
  const ranks = attributes as unknown as Ranks;
  const factors = factorsOf(ranks);
  const store =
    (letter: keyof Ranks, biasRow: number) =>
    ({ inputs: all, outputs: [decay, rate, mixed, gate] }: ShaderArguments): string => {
      const [, , biases, value, first] = all;
      const place = `t * ${out}u + o`;
      const raised = `(value + ${biases!.at(`${biasRow * out}u + o`)})`;
      switch (letter) {
        case 'w':
          return `${decay!.name}[${place}] = exp(${float(-Math.exp(-0.5))} * (${sigmoid(raised, 'f32')}));`;
        case 'a':
          // Layer 0 has no factor for v, and passes its value on as it is.
          return (
            `${rate!.name}[${place}] = ${sigmoid(raised, 'f32')};` +
            (ranks.v > 0 ? '' : `${mixed!.name}[${place}] = ${value!.at(place)};`)
          );
        case 'v':
          return `let own = ${value!.at(place)};
          ${mixed!.name}[${place}] = own + (${first!.at(place)} - own) * (${sigmoid(raised, 'f32')});`;
        case 'g':
          return `${gate!.name}[${place}] = value;`;
      }
    };
  const products = factors.map(({ letter, start, rank }, i): Product => ({
    x: 0,
    weight: 1,
    firstRow: 0,
    firstColumn: start,
    depth: rank,
    firstOut: start,
    out,
    transposed: true,
    ...(letter === 'w' && { activation: tanh }),
    ...(letter === 'g' && { activation: sigmoid }),
    store: store(letter, i),
  }));
  return kernelOf({
    tokens,
    inputs,
    capabilities,
    products,
  });
};

/** Kernels by the name of their operation. */
export const timeMix7Kernels: Readonly<Record<string, KernelMaker>> = {
  timeMix7Project,
  timeMix7Raise,
};
