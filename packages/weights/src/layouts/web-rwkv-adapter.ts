import type { Layout } from './layout.ts';
import { renamed, type NameLine } from './names.ts';
import { transpose } from './transforms.ts';

/** LoRA factors and tuned states of web-rwkv's converter. Specification, LoRA and state tuning. */
const names: readonly NameLine[] = [
  [
    'blocks.{i}.att.{receptance,key,value,gate,output}.lora.0',
    'blocks.{i}.att.{receptance,key,value,gate,output}.lora_A',
    transpose,
  ],
  [
    'blocks.{i}.att.{receptance,key,value,gate,output}.lora.1',
    'blocks.{i}.att.{receptance,key,value,gate,output}.lora_B',
  ],
  [
    'blocks.{i}.ffn.{key,value,receptance}.lora.0',
    'blocks.{i}.ffn.{key,value,receptance}.lora_A',
    transpose,
  ],
  ['blocks.{i}.ffn.{key,value,receptance}.lora.1', 'blocks.{i}.ffn.{key,value,receptance}.lora_B'],
  ['blocks.{i}.att.time_state', 'blocks.{i}.att.time_state', transpose],
];

/**
 * Nothing inside a file tells how a tuned state is turned (specification, state tuning): one that ends
 * in `.st` is taken as that converter's.
 */
export const webRwkvAdapter: Layout = {
  name: 'web-rwkv',
  recognises({ tensors, label }) {
    const has = (ending: string): boolean =>
      [...tensors.keys()].some((name) => name.endsWith(ending));
    return has('.lora.0') || (label.endsWith('.st') && has('.time_state') && !has('emb.weight'));
  },
  apply: (contents) => renamed(contents, names, webRwkvAdapter.name),
};
