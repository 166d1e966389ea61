import {
  channels,
  constant,
  orthogonalTimes,
  tall,
  uniform,
  type InitialRule,
} from './initial-rules.ts';

/** Initial weights of RWKV-4. Specification: training, initialisation, v4. */
export const initialRules4: readonly InitialRule[] = [
  [/\.att\.time_mix_k$/, channels(({ share }, { falling }) => share ** falling)],
  [
    /\.att\.time_mix_v$/,
    channels(({ share }, { falling, rising }) => share ** falling + 0.3 * rising),
  ],
  [/\.att\.time_mix_r$/, channels(({ share }, { falling }) => share ** (0.5 * falling))],
  [
    /\.att\.time_decay$/,
    channels(({ place }, { rising }) => -5 + 8 * place ** (0.7 + 1.3 * rising)),
  ],
  [/\.att\.time_first$/, channels(({ index }) => Math.log(0.3) + 0.5 * (((index + 1) % 3) - 1))],
  [/\.ffn\.time_mix_[kr]$/, channels(({ share }, { falling }) => share ** falling)],
  [/\.att\.(key|receptance|output)\.weight$/, constant(0)],
  [/\.ffn\.(value|receptance)\.weight$/, constant(0)],
  [/\.(att\.value|ffn\.key)\.weight$/, orthogonalTimes(tall)],
  [/^emb\.weight$/, uniform(({ rate }) => rate)],
  [/^head\.weight$/, orthogonalTimes((ratio) => 0.5 * tall(ratio))],
];
