import {
  channels,
  constant,
  orthogonalTimes,
  tall,
  uniform,
  type InitialRule,
} from './initial-rules.ts';

/** Initial weights of RWKV-7. Specification: training, initialisation, v7 (final). */
export const initialRules7: readonly InitialRule[] = [
  [/\.att\.x_[rg]$/, mix(0.2)],
  [/\.att\.x_[wa]$/, mix(0.9)],
  [/\.att\.x_[kv]$/, mix(0.7)],
  [
    /\.att\.w0$/,
    channels(({ index, place }, { rising, headSize }) => {
      const slope = place ** (1 + rising ** 0.3);
      return -6 + 6 * slope + 0.5 + 2.5 * zigzag(index, headSize);
    }),
  ],
  [
    /\.att\.a0$/,
    channels(
      ({ index, place }, { headSize }) =>
        -0.19 + 0.3 * zigzag(index, headSize) + 0.4 * (place - 0.5),
    ),
  ],
  [/\.att\.v0$/, channels(({ place }) => 0.73 - 0.4 * (place - 0.5))],
  [/\.att\.k_k$/, channels(({ place }) => 0.71 - 0.1 * (place - 0.5))],
  [/\.att\.k_a$/, constant(1.02)],
  [/\.att\.r_k$/, constant(-0.04)],
  [/\.att\.[wavg]1$/, constant(0)],
  [/\.att\.[wavg]2$/, orthogonalTimes((ratio) => 0.1 * tall(ratio))],
  [/\.att\.(receptance|value)\.weight$/, orthogonalTimes(() => 1)],
  [/\.att\.key\.weight$/, orthogonalTimes(() => 0.1)],
  [/\.att\.output\.weight$/, constant(0)],
  [/\.ffn\.x_k$/, channels(({ share }, { falling }) => 1 - share ** (falling ** 4))],
  [/\.ffn\.key\.weight$/, orthogonalTimes(() => 1)],
  [/\.ffn\.value\.weight$/, constant(0)],
  [/^emb\.weight$/, uniform(() => 1e-4)],
  [/^head\.weight$/, orthogonalTimes((ratio) => 0.5 * tall(ratio))],
];

/** How much of the token before a channel takes: none in the first, most in the last. */
function mix(power: number): InitialRule[1] {
  return channels(({ share }, { falling }) => 1 - share ** (power * falling));
}

/** z: from −1 to 1 along the channels of each head, flat in the middle. */
function zigzag(index: number, headSize: number): number {
  const half = Math.max(1, headSize - 1) / 2;
  const side = ((index % headSize) - (headSize - 1) / 2) / half;
  return side * Math.abs(side);
}
