import { FormatError } from '@rwkv-js/tensor';
import type { StoredTensor } from '../container.ts';
import { quote } from '../quote.ts';
import type { FileContents, Layout } from './layout.ts';
import { checkHas, renamed, type NameLine } from './names.ts';
import { flatten, rowsOf, timesPowerOfTwo, transformed, transpose } from './transforms.ts';

/** What both generations share. Shapes are in torch's order, the slowest axis first. */
const frame: readonly NameLine[] = [
  ['token_embd.weight', 'emb.weight'],
  ['token_embd_norm.{weight,bias}', 'blocks.0.ln0.{weight,bias}'],
  ['blk.{i}.attn_norm.{weight,bias}', 'blocks.{i}.ln1.{weight,bias}'],
  ['blk.{i}.attn_norm_2.{weight,bias}', 'blocks.{i}.ln2.{weight,bias}'],
  [
    'blk.{i}.time_mix_{receptance,key,value,output}.weight',
    'blocks.{i}.att.{receptance,key,value,output}.weight',
  ],
  ['blk.{i}.time_mix_ln.{weight,bias}', 'blocks.{i}.att.ln_x.{weight,bias}'],
  ['blk.{i}.channel_mix_{key,value}.weight', 'blocks.{i}.ffn.{key,value}.weight'],
  ['output_norm.{weight,bias}', 'ln_out.{weight,bias}'],
  ['output.weight', 'head.weight'],
];

/** Specification, names of RWKV-7. */
const names7 = (headSize: number): readonly NameLine[] => [
  ...frame,
  ['blk.{i}.time_mix_lerp_fused.weight', 'blocks.{i}.att.x_[r,w,k,v,a,g]'],
  // Layer 0 gives the first value and mixes none in; what stands there are copies of a0, a1, a2.
  ['blk.0.time_mix_v{0,1,2}.weight', undefined],
  ['blk.{i}.time_mix_{w,a,v}0.weight', 'blocks.{i}.att.{w,a,v}0'],
  ['blk.{i}.time_mix_{w,a,v,g}1.weight', 'blocks.{i}.att.{w,a,v,g}1', transpose],
  ['blk.{i}.time_mix_{w,a,v,g}2.weight', 'blocks.{i}.att.{w,a,v,g}2', transpose],
  ['blk.{i}.time_mix_{k_k,k_a}.weight', 'blocks.{i}.att.{k_k,k_a}'],
  ['blk.{i}.time_mix_r_k.weight', 'blocks.{i}.att.r_k', rowsOf(headSize)],
  ['blk.{i}.channel_mix_lerp_k.weight', 'blocks.{i}.ffn.x_k'],
];

/** Specification, names of RWKV-6 in GGUF. */
const names6: readonly NameLine[] = [
  ...frame,
  ['blk.{i}.time_mix_lerp_x.weight', 'blocks.{i}.att.time_maa_x'],
  ['blk.{i}.time_mix_lerp_fused.weight', 'blocks.{i}.att.time_maa_[w,k,v,r,g]'],
  // Files from before the five were fused.
  ['blk.{i}.time_mix_lerp_{w,k,v,r,g}.weight', 'blocks.{i}.att.time_maa_{w,k,v,r,g}'],
  ['blk.{i}.time_mix_w1.weight', 'blocks.{i}.att.time_maa_w1', transpose],
  ['blk.{i}.time_mix_w2.weight', 'blocks.{i}.att.time_maa_w2', transpose],
  ['blk.{i}.time_mix_decay.weight', 'blocks.{i}.att.time_decay', flatten],
  ['blk.{i}.time_mix_decay_{w1,w2}.weight', 'blocks.{i}.att.time_decay_{w1,w2}', transpose],
  ['blk.{i}.time_mix_first.weight', 'blocks.{i}.att.time_faaaa'],
  ['blk.{i}.time_mix_gate.weight', 'blocks.{i}.att.gate.weight'],
  ['blk.{i}.channel_mix_lerp_{k,r}.weight', 'blocks.{i}.ffn.time_maa_{k,r}'],
  ['blk.{i}.channel_mix_receptance.weight', 'blocks.{i}.ffn.receptance.weight'],
];

/** GGUF of llama.cpp's converter, rwkv6 and rwkv7. */
export const gguf: Layout = {
  name: 'GGUF',
  recognises: ({ tensors }) => tensors.has('token_embd.weight'),
  apply(contents) {
    checkHas(contents, 'token_embd_norm.weight', gguf.name);
    switch (contents.metadata.get('general.architecture')) {
      case 'rwkv6':
        return notRescaled(renamed(contents, names6, gguf.name), contents);
      case 'rwkv7':
        return renamed(contents, names7(setting(contents, 'rwkv7.wkv.head_size')), gguf.name);
      default:
        throw otherArchitecture(contents);
    }
  },
};

/**
 * Converters may divide what layer i adds to the residual by 2^⌊i/n⌋, so that f16 activations do not
 * overflow, for engines that halve the residual after every n layers. We compute in f32: they are
 * multiplied back. Specification, names of RWKV-6.
 */
function notRescaled(
  tensors: ReadonlyMap<string, StoredTensor>,
  contents: FileContents,
): ReadonlyMap<string, StoredTensor> {
  const every = setting(contents, 'rwkv6.rescale_every_n_layers', 0);
  if (every === 0) return tensors;
  return new Map(
    Array.from(tensors, ([name, tensor]) => {
      const block = /^blocks\.(\d+)\.(?:att\.output|ffn\.value)\.weight$/.exec(name)?.[1];
      if (block === undefined) return [name, tensor];
      const scale = timesPowerOfTwo(Math.floor(Number(block) / every));
      return [name, transformed(tensor, scale) ?? tensor];
    }),
  );
}

/** A whole number of the metadata. */
function setting({ metadata, label }: FileContents, key: string, absent?: number): number {
  const text = metadata.get(key);
  if (text === undefined && absent !== undefined) return absent;
  const value = Number(text);
  if (text !== undefined && Number.isSafeInteger(value) && value >= (absent ?? 1)) return value;
  throw new FormatError(
    `Reading ${label} as GGUF: its metadata has ${text === undefined ? 'no' : quote(text)} for ` +
      `${key}; a whole number was expected.`,
  );
}

function otherArchitecture({ metadata, label }: FileContents): FormatError {
  const name = metadata.get('general.architecture');
  return new FormatError(
    `Reading ${label} as GGUF: its architecture is ${name === undefined ? 'not said' : quote(name)}, ` +
      `and rwkv6 and rwkv7 can be read.`,
  );
}
