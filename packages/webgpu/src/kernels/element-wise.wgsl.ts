import { elementCount, type OperationView, type Shape } from '@rwkv-js/tensor';
import type { Kernel, KernelMaker } from '../kernel.ts';
import { flatGroup, float, gridOf, wgsl } from '../wgsl.ts';

const threads = 256;

/**
 * Operations on each element, from one template: y[i] = expression of the inputs at i, which broadcast
 * from the last axis. One thread an element; every input read once, every output written once.
 */
function elementWise(
  expressions: (view: OperationView) => readonly ((...values: string[]) => string)[],
): KernelMaker {
  return (view): Kernel => {
    const { shape } = view.outputs[0]!;
    const count = elementCount(shape);
    return {
      passes: [
        {
          grid: gridOf(Math.ceil(count / threads)),
          threads,
          source: ({ inputs, outputs }) => ({
            module: helpers,
            main: wgsl`
  let i = ${flatGroup} * ${threads}u + thread;
  if (i >= ${count}u) { return; }
  ${inputs.map((x, n) => `let v${n} = ${x.at(broadcastPlace(x.spec.shape, shape))};`).join('\n  ')}
  ${expressions(view)
    .map((of, n) => `${outputs[n]!.name}[i] = ${of(...inputs.map((_, k) => `v${k}`))};`)
    .join('\n  ')}`,
          }),
        },
      ],
    };
  };
}

const helpers = wgsl`
fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp(-clamp(x, -80.0, 80.0))); }
// The builtin may overflow within; this is exact to some units in the last place of 1.
fn tanh_of(x: f32) -> f32 {
  let e = exp(-2.0 * abs(x));
  return sign(x) * (1.0 - e) / (1.0 + e);
}
`;

/** The place in a tensor of shape `from` that belongs to element i of shape `to`. */
function broadcastPlace(from: Shape, to: Shape): string {
  if (elementCount(from) === 1) return '0u';
  const terms: string[] = [];
  let strideTo = 1;
  let strideFrom = 1;
  let plain = true;
  for (let axis = 1; axis <= to.length; axis++) {
    const [size, own] = [to.at(-axis)!, from.at(-axis) ?? 1];
    if (own === size && size > 1) {
      const wraps = elementCount(to.slice(0, to.length - axis)) > 1 ? ` % ${size}u` : '';
      terms.push(`(i / ${strideTo}u)${wraps} * ${strideFrom}u`);
    } else if (size > 1) {
      plain = false;
    }
    strideTo *= size;
    strideFrom *= own;
  }
  return plain ? 'i' : terms.join(' + ');
}

const one =
  (of: (...values: string[]) => string): KernelMaker =>
  (view, capabilities) =>
    elementWise(() => [of])(view, capabilities);

const factorOf = ({ attributes }: OperationView): string => float(attributes['factor'] as number);

/** Kernels by the name of their operation. */
export const elementWiseKernels: Readonly<Record<string, KernelMaker>> = {
  negate: one((x) => `-${x}`),
  exp: one((x) => `exp(${x})`),
  sqrt: one((x) => `sqrt(${x})`),
  tanh: one((x) => `tanh_of(${x})`),
  sigmoid: one((x) => `sigmoid(${x})`),
  silu: one((x) => `${x} * sigmoid(${x})`),
  relu: one((x) => `select(${x}, 0.0, ${x} < 0.0)`),
  softplus: one((x) => `max(${x}, 0.0) + log(1.0 + exp(-abs(${x})))`),
  square: one((x) => `${x} * ${x}`),
  add: one((a, b) => `${a} + ${b}`),
  subtract: one((a, b) => `${a} - ${b}`),
  multiply: one((a, b) => `${a} * ${b}`),
  lerp: one((x, y, amount) => `${x} + (${y} - ${x}) * ${amount}`),
  reluBackward: one((x, flow) => `select(0.0, ${flow}, ${x} > 0.0)`),
  accumulate: one((first, second) => (second ? `${first} + ${second}` : first!)),
  broadcastTo: one((x) => x!),
  scale: (view, capabilities) =>
    elementWise(() => [(x) => `${x} * ${factorOf(view)}`])(view, capabilities),
  clipByNorm: elementWise(({ attributes }) => {
    const limit = float(attributes['limit'] as number);
    return [(x, norm) => `${x} * select(1.0, ${limit} / ${norm}, ${norm} > ${limit})`];
  }),
  adamW: elementWise(({ attributes }) => {
    const of = (name: string): number => attributes[name] as number;
    const [beta1, beta2] = [of('beta1'), of('beta2')];
    const first = (m: string, flow: string): string =>
      `(${float(beta1)} * ${m} + ${float(1 - beta1)} * ${flow})`;
    const second = (v: string, flow: string): string =>
      `(${float(beta2)} * ${v} + ${float(1 - beta2)} * ${flow} * ${flow})`;
    // 1 − βᵗ, through the logarithm of β in double precision: accurate where β is close to 1.
    const correction = (beta: number, step: string): string =>
      `(1.0 - exp(f32(${step}) * ${float(Math.log(beta))}))`;
    return [
      (w, flow, m, v, rate, step) =>
        `${w} * (1.0 - ${rate} * ${float(of('weightDecay'))}) - ${rate} * ` +
        `(${first(m!, flow!)} / ${correction(beta1, step!)}) / ` +
        `(sqrt(${second(v!, flow!)} / ${correction(beta2, step!)}) + ${float(of('epsilon'))})`,
      (_, flow, m) => first(m!, flow!),
      (_, flow, __, v) => second(v!, flow!),
    ];
  }),
};
