import type { Layout } from './layout.ts';
import { renamed, withoutPrefix, type NameLine } from './names.ts';
import { flatten } from './transforms.ts';

/** RWKV-4, 5 and 6 of the Hugging Face hub, behind `rwkv.`. Specification, names of RWKV-4 and of RWKV-5 / RWKV-6. */
const names: readonly NameLine[] = [
  ['embeddings.weight', 'emb.weight'],
  ['blocks.0.pre_ln.{weight,bias}', 'blocks.0.ln0.{weight,bias}'],
  [
    'blocks.{i}.attention.time_mix_{key,value,receptance,gate}',
    'blocks.{i}.att.time_mix_{k,v,r,g}',
  ],
  [
    'blocks.{i}.attention.{time_decay,time_first,time_faaaa}',
    'blocks.{i}.att.{time_decay,time_first,time_faaaa}',
  ],
  [
    'blocks.{i}.attention.{receptance,key,value,gate,output}.weight',
    'blocks.{i}.att.{receptance,key,value,gate,output}.weight',
  ],
  ['blocks.{i}.attention.ln_x.{weight,bias}', 'blocks.{i}.att.ln_x.{weight,bias}'],
  ['blocks.{i}.feed_forward.time_mix_{key,receptance}', 'blocks.{i}.ffn.time_mix_{k,r}'],
  [
    'blocks.{i}.feed_forward.{key,receptance,value}.weight',
    'blocks.{i}.ffn.{key,receptance,value}.weight',
  ],
];

/** RWKV-6 has the official names inside its halves. */
const names6: readonly NameLine[] = [
  // Some repositories have it as [heads, headSize].
  ['blocks.{i}.attention.time_decay', 'blocks.{i}.att.time_decay', flatten],
  [
    'blocks.{i}.attention.time_{decay_w1,decay_w2,maa_w1,maa_w2,maa_x,maa_w,maa_k,maa_v,maa_r,maa_g}',
    'blocks.{i}.att.time_{decay_w1,decay_w2,maa_w1,maa_w2,maa_x,maa_w,maa_k,maa_v,maa_r,maa_g}',
  ],
  ['blocks.{i}.feed_forward.time_maa_{k,r}', 'blocks.{i}.ffn.time_maa_{k,r}'],
];

const prefix = /^rwkv\./;

export const huggingFace: Layout = {
  name: 'Hugging Face',
  hasConfig: true,
  recognises: ({ tensors }) =>
    ['rwkv.', ''].some((start) => tensors.has(`${start}blocks.0.attention.key.weight`)),
  apply(contents) {
    const tensors = withoutPrefix(contents.tensors, prefix);
    const isVersion6 = tensors.has('blocks.0.attention.time_maa_x');
    const table = isVersion6 ? [...names6, ...names] : names;
    return renamed({ tensors, label: contents.label }, table, huggingFace.name);
  },
};
