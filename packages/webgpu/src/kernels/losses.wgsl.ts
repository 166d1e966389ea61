import type { KernelMaker, ShaderText } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';
import type { Argument } from '../argument.ts';
import { reduction } from './reduce.ts';

const threads = 256;

/** The token of a row; −1 also for a number that is no token, so that no logit is read past its row. */
function targetAt(targets: Argument, row: string, vocabulary: number): string {
  const target = targets.at(row);
  return `select(-1, ${target}, ${target} < ${vocabulary})`;
}

/**
 * What scores rows of logits [rows, vocabulary] has one work group a row. It begins with `target`, the
 * row's token, −1 for none, `top`, the largest logit, and `logSum`, the logarithm of the sum of exponentials.
 */
function perRow(
  logits: Argument,
  targets: Argument,
  [rows, vocabulary]: readonly [number, number],
  rest: string,
): ShaderText {
  const at = logits.at(`row * ${vocabulary}u + i`);
  return {
    module: `${reduction('total', threads)}${reduction('largest', threads, 'max')}
var<workgroup> token_of_row: i32;`,
    main: wgsl`
  let row = ${flatGroup};
  if (row >= ${rows}u) { return; }
  if (thread == 0u) { token_of_row = ${targetAt(targets, 'row', vocabulary)}; }
  let token = workgroupUniformLoad(&token_of_row);
  var logSum = 0.0;
  var top = -3.4e38;
  if (token >= 0) {
    for (var i = thread; i < ${vocabulary}u; i += ${threads}u) { top = max(top, ${at}); }
    top = largest(top, thread);
    var sum = 0.0;
    for (var i = thread; i < ${vocabulary}u; i += ${threads}u) { sum += exp(${at} - top); }
    logSum = top + log(total(sum, thread));
  }
  ${rest}`,
  };
}

const sizes = (shape: readonly number[]): readonly [number, number] =>
  shape as unknown as readonly [number, number];

/** y[r] = logits[r, token] − ln Σ e^logits[r, i]; 0 for token −1, whose logits are not read. */
const tokenLogProbability: KernelMaker = ({ inputs }) => {
  const shape = sizes(inputs[0]!.shape);
  return {
    passes: [
      {
        grid: gridOf(shape[0]),
        threads,
        source: ({ inputs: [logits, tokens], outputs: [y] }) =>
          perRow(
            logits!,
            tokens!,
            shape,
            wgsl`if (thread == 0u) {
    var score = 0.0;
    if (token >= 0) { score = ${logits!.at(`row * ${shape[1]}u + u32(token)`)} - logSum; }
    ${y!.name}[row] = score;
  }`,
          ),
      },
    ],
  };
};

/**
 * factor · (onehot(token) − softmax(logits)) for each row. With `l2Wrap`, the first of the largest logits
 * gets l2Wrap · logit · −factor more.
 */
function backward(
  factor: (flow: Argument, targets: Argument, shape: readonly [number, number]) => string,
): KernelMaker {
  return ({ inputs, attributes }) => {
    const shape = sizes(inputs[0]!.shape);
    const l2Wrap = Number(attributes['l2Wrap'] ?? 0);
    return {
      passes: [
        {
          grid: gridOf(shape[0]),
          threads,
          source: ({ inputs: [logits, targets, flow], outputs: [y] }) => {
            const at = logits!.at(`row * ${shape[1]}u + i`);
            // Places are whole numbers that f32 holds exactly, negated: the first is then the largest.
            const peak = wgsl`var place = -3.4e38;
  for (var i = thread; i < ${shape[1]}u; i += ${threads}u) {
    if (${at} == top && place < -3.0e38) { place = -f32(i); }
  }
  place = largest(place, thread);`;
            const pull =
              l2Wrap === 0 ? '' : ` - select(0.0, factor * ${l2Wrap} * top, -f32(i) == place)`;
            return perRow(
              logits!,
              targets!,
              shape,
              wgsl`${factor(flow!, targets!, shape)}
  ${l2Wrap === 0 ? '' : peak}
  for (var i = thread; i < ${shape[1]}u; i += ${threads}u) {
    let hot = select(0.0, 1.0, i32(i) == token);
    ${y!.name}[row * ${shape[1]}u + i] = factor * (hot - exp(${at} - logSum))${pull};
  }`,
            );
          },
        },
      ],
    };
  };
}

/** Mean of −ln p(target) over the rows with a target: a work group a row, then one thread adds them. */
const crossEntropy: KernelMaker = ({ inputs }) => {
  const shape = sizes(inputs[0]!.shape);
  return {
    scratchBytes: 4 * shape[0],
    passes: [
      {
        grid: gridOf(shape[0]),
        threads,
        source: ({ inputs: [logits, targets], scratch }) =>
          perRow(
            logits!,
            targets!,
            shape,
            wgsl`if (thread == 0u && token >= 0) {
    ${scratch}[row] = logSum - ${logits!.at(`row * ${shape[1]}u + u32(token)`)};
  }`,
          ),
      },
      {
        grid: [1, 1, 1],
        threads: 1,
        source: ({ inputs: [, targets], outputs: [y], scratch }) => ({
          main: wgsl`
  var sum = 0.0;
  var count = 0.0;
  for (var row = 0u; row < ${shape[0]}u; row++) {
    if (${targetAt(targets!, 'row', shape[1])} >= 0) { sum += ${scratch}[row]; count += 1.0; }
  }
  ${y!.name}[0] = sum / max(count, 1.0);`,
        }),
      },
    ],
  };
};

/** Kernels by the name of their operation. */
export const lossKernels: Readonly<Record<string, KernelMaker>> = {
  tokenLogProbability,
  tokenLogProbabilityBackward: backward(
    (flow) => `let factor = select(0.0, ${flow.at('row')}, token >= 0);`,
  ),
  crossEntropy,
  crossEntropyBackward: backward(
    (flow, targets, [rows, vocabulary]) => `var count = 0.0;
  for (var r = 0u; r < ${rows}u; r++) { count += select(0.0, 1.0, ${targetAt(targets, 'r', vocabulary)} >= 0); }
  let factor = select(0.0, -${flow.at('0')} / max(count, 1.0), token >= 0);`,
  ),
};
