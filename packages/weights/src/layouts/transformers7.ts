import type { Layout } from './layout.ts';
import { renamed, withoutPrefix, type NameLine } from './names.ts';

/**
 * RWKV-7 as transformers keeps it: official names behind a prefix that the head does not carry, unlike
 * what wrappers put before all. Specification, names of RWKV-7.
 */
const names: readonly NameLine[] = [['embeddings.weight', 'emb.weight']];

const prefix = /^(model|rwkv7|rwkv)\./;

export const transformers7: Layout = {
  name: 'transformers RWKV-7',
  hasConfig: true,
  recognises: ({ tensors }) =>
    [...tensors.keys()].some((name) => /^(model|rwkv7|rwkv)\.blocks\.0\.att\.r_k$/.test(name)),
  apply: ({ tensors, label }) =>
    renamed({ tensors: withoutPrefix(tensors, prefix), label }, names, transformers7.name),
};
