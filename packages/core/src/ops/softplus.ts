import { defineOp, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { multiply } from './multiply.ts';
import { likeX } from './shape-rules.ts';
import { sigmoid } from './sigmoid.ts';

/**
 * The softplus of every element: y = ln(1 + eˣ), as max(x, 0) + ln(1 + e^(−|x|)), which neither overflows
 * nor loses small results. Any shape. −softplus(−x) is ln σ(x). It makes positive scales of a network's
 * outputs, as for Student-t forecasts, and binary cross-entropy of logits. Specification: time series,
 * probabilistic forecasting; recommendation, losses.
 */
export const softplus = defineOp<(x: Value) => Value>({
  name: 'softplus',
  arguments: ['x'],
  infer: likeX,
  reference({ inputs, outputs }) {
    const x = floats(inputs[0]!);
    const y = outputs[0]!.data;
    for (let i = 0; i < y.length; i++) {
      y[i] = Math.max(x[i]!, 0) + Math.log1p(Math.exp(-Math.abs(x[i]!)));
    }
  },
  gradient: ({ inputs: [x], cotangents: [flow] }) => [multiply(flow!, sigmoid(x!))],
  inPlace: [[0, 0]],
});
