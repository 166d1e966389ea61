import type { Layout } from './layout.ts';
import { renamed, withoutPrefix, type NameLine } from './names.ts';
import { inTurn, reorder, stackOf, transpose } from './transforms.ts';

/** What flash-linear-attention calls the frame of every model, behind `model.`. */
const frame: readonly NameLine[] = [
  ['embeddings.weight', 'emb.weight'],
  ['layers.0.pre_norm.{weight,bias}', 'blocks.0.ln0.{weight,bias}'],
  ['layers.{i}.attn_norm.{weight,bias}', 'blocks.{i}.ln1.{weight,bias}'],
  ['layers.{i}.ffn_norm.{weight,bias}', 'blocks.{i}.ln2.{weight,bias}'],
  ['layers.{i}.attn.o_proj.weight', 'blocks.{i}.att.output.weight'],
  ['layers.{i}.attn.g_norm.{weight,bias}', 'blocks.{i}.att.ln_x.{weight,bias}'],
  ['layers.{i}.ffn.value.weight', 'blocks.{i}.ffn.value.weight'],
  ['norm.{weight,bias}', 'ln_out.{weight,bias}'],
  ['lm_head.weight', 'head.weight'],
];

/** Specification, names of RWKV-7. */
const names7: readonly NameLine[] = [
  ...frame,
  ['layers.{i}.attn.x_{r,w,k,v,a,g}', 'blocks.{i}.att.x_{r,w,k,v,a,g}'],
  ['layers.{i}.attn.x_x', 'blocks.{i}.att.x_[r,w,k,v,a,g]'],
  ['layers.{i}.attn.{w,a,v}_lora.lora.2.bias', 'blocks.{i}.att.{w,a,v}0'],
  ['layers.{i}.attn.{w,a,v,g}_lora.lora.0.weight', 'blocks.{i}.att.{w,a,v,g}1', transpose],
  ['layers.{i}.attn.{w,a,v,g}_lora.lora.2.weight', 'blocks.{i}.att.{w,a,v,g}2', transpose],
  ['layers.{i}.attn.{k_k,k_a,r_k}', 'blocks.{i}.att.{k_k,k_a,r_k}'],
  ['layers.{i}.attn.{r,k,v}_proj.weight', 'blocks.{i}.att.{receptance,key,value}.weight'],
  ['layers.{i}.ffn.x_k', 'blocks.{i}.ffn.x_k'],
  ['layers.{i}.ffn.key.weight', 'blocks.{i}.ffn.key.weight'],
];

/** Where the official order w, k, v, r, g lies in theirs, which is r, w, k, v, g. */
const officialOrder = reorder([1, 2, 3, 0, 4]);

/** Specification, names of RWKV-6 in fla. */
const names6: readonly NameLine[] = [
  ...frame,
  ['layers.{i}.attn.x_proj.0.mu', 'blocks.{i}.att.time_maa_x'],
  [
    'layers.{i}.attn.x_proj.0.linear.weight',
    'blocks.{i}.att.time_maa_w1',
    inTurn(officialOrder, transpose),
  ],
  [
    'layers.{i}.attn.x_proj.2.weight',
    'blocks.{i}.att.time_maa_w2',
    inTurn(transpose, officialOrder, stackOf(5)),
  ],
  ['layers.{i}.attn.x_bias', 'blocks.{i}.att.time_maa_[r,w,k,v,g]'],
  ['layers.{i}.attn.w_proj.linear.lora.2.bias', 'blocks.{i}.att.time_decay'],
  ['layers.{i}.attn.w_proj.linear.lora.0.weight', 'blocks.{i}.att.time_decay_w1', transpose],
  ['layers.{i}.attn.w_proj.linear.lora.2.weight', 'blocks.{i}.att.time_decay_w2', transpose],
  ['layers.{i}.attn.bonus', 'blocks.{i}.att.time_faaaa'],
  [
    'layers.{i}.attn.{r,k,v,g}_proj.linear.weight',
    'blocks.{i}.att.{receptance,key,value,gate}.weight',
  ],
  ['layers.{i}.ffn.{key,receptance}.mu', 'blocks.{i}.ffn.time_maa_{k,r}'],
  ['layers.{i}.ffn.{key,receptance}.linear.weight', 'blocks.{i}.ffn.{key,receptance}.weight'],
];

const isVersion6 = (name: string): boolean => name.endsWith('layers.0.attn.x_proj.0.linear.weight');

/** RWKV-6 and 7 of flash-linear-attention. */
export const fla: Layout = {
  name: 'flash-linear-attention',
  hasConfig: true,
  recognises: ({ tensors }) =>
    [...tensors.keys()].some(
      (name) => isVersion6(name) || /^(model\.)?layers\.0\.attn\.r_k$/.test(name),
    ),
  apply({ tensors, label }) {
    const table = [...tensors.keys()].some(isVersion6) ? names6 : names7;
    const bare = withoutPrefix(tensors, /^model\./);
    return renamed({ tensors: bare, label }, table, fla.name);
  },
};
