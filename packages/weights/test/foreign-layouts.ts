import { elementCount, viewBytes, type WeightSource } from '@rwkv-js/tensor';
import { elementType } from '../src/element-type.ts';
import type { FileContents } from '../src/layouts/layout.ts';

/** A tensor of f32 in memory. */
export interface Floats {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

type Tensors = ReadonlyMap<string, Floats>;

/** All tensors of a source, whose dtype is f32. */
export async function floatsOf(source: WeightSource): Promise<Tensors> {
  const tensors = new Map<string, Floats>();
  for (const [name, { shape }] of source.tensors) {
    const data = Float32Array.from(viewBytes('f32', await source.read(name)));
    tensors.set(name, { shape, data });
  }
  return tensors;
}

/** Tensors as the header of a file gives them. */
export function contentsOf(
  tensors: Tensors,
  container: string,
  metadata: Readonly<Record<string, string>> = {},
): FileContents {
  return {
    label: 'model',
    container,
    metadata: new Map(Object.entries(metadata)),
    tensors: new Map(
      Array.from(tensors, ([name, { shape, data }]) => [
        name,
        {
          type: elementType('F32'),
          shape,
          read: async () => new Uint8Array(data.slice().buffer),
        },
      ]),
    ),
  };
}

const shaped = ({ data }: Floats, ...shape: number[]): Floats => ({ shape, data });

const mapped = ({ shape, data }: Floats, of: (x: number) => number): Floats => ({
  shape,
  data: data.map(of),
});

/** The last two axes swapped, by counting through the result. */
function turned({ shape, data }: Floats): Floats {
  const [rows, columns] = shape.slice(-2);
  const result = Float32Array.from(data, (_, at) => {
    const [matrix, within] = [Math.floor(at / (rows * columns)), at % (rows * columns)];
    const [column, row] = [Math.floor(within / rows), within % rows];
    return data[matrix * rows * columns + row * columns + column];
  });
  return { shape: [...shape.slice(0, -2), columns, rows], data: result };
}

function stacked(parts: readonly Floats[], ...shape: number[]): Floats {
  return { shape, data: Float32Array.from(parts.flatMap(({ data }) => [...data])) };
}

/** Blocks of rows, `order[i]` of them to place `i`. */
function blocks({ shape, data }: Floats, order: readonly number[]): Floats {
  const size = data.length / order.length;
  const parts = order.map((i) => ({ shape, data: data.slice(i * size, (i + 1) * size) }));
  return stacked(parts, ...shape);
}

/** What a converter makes of one official tensor: further names and tensors. */
type Converter = (
  block: string,
  name: string,
  tensor: Floats,
  all: (name: string) => Floats,
) => readonly (readonly [string, Floats])[];

function converted(official: Tensors, of: Converter): Tensors {
  const result = new Map<string, Floats>();
  for (const [full, tensor] of official) {
    const [, block = '', name = full] = /^blocks\.(\d+)\.(.*)$/.exec(full) ?? [];
    const all = (wanted: string): Floats => {
      const found = official.get(`blocks.${block}.${wanted}`);
      if (!found) throw new Error(`no tensor ${wanted} in block ${block}`);
      return found;
    };
    for (const [to, made] of of(block, name, tensor, all)) result.set(to, made);
  }
  return result;
}

const flat = (tensor: Floats): Floats => shaped(tensor, elementCount(tensor.shape));

/** As the hub's RWKV-4, 5 and 6 repositories have it. */
export const asHuggingFace = (official: Tensors): Tensors =>
  converted(official, (block, name, tensor) => {
    if (name === 'head.weight') return [[name, tensor]];
    if (name === 'emb.weight') return [['rwkv.embeddings.weight', tensor]];
    if (block === '') return [[`rwkv.${name}`, tensor]];
    const long: Record<string, string> = { k: 'key', v: 'value', r: 'receptance', g: 'gate' };
    const to = name
      .replace(/^ln0/, 'pre_ln')
      .replace(/time_mix_([kvrg])$/, (_, letter: string) => `time_mix_${long[letter]}`)
      .replace(/^att\./, 'attention.')
      .replace(/^ffn\./, 'feed_forward.');
    return [[`rwkv.blocks.${block}.${to}`, tensor]];
  });

/** As flash-linear-attention has RWKV-7; `fused` as its older versions. */
export const asFla7 = (official: Tensors, fused: boolean): Tensors =>
  converted(official, (block, name, tensor, all) => {
    const one = (to: string, made = tensor): [string, Floats][] => [
      [block === '' ? to : `model.layers.${block}.${to}`, made],
    ];
    if (block === '') {
      const [stem, kind] = name.split('.');
      if (stem === 'head') return one('lm_head.weight');
      return one(`model.${stem === 'emb' ? 'embeddings' : 'norm'}.${kind}`);
    }
    const norms: Record<string, string> = { ln0: 'pre_norm', ln1: 'attn_norm', ln2: 'ffn_norm' };
    const norm = /^(ln\d)\.(.*)$/.exec(name);
    if (norm) return one(`${norms[norm[1]]}.${norm[2]}`);
    if (name.startsWith('ffn.')) return one(name, name === 'ffn.x_k' ? flat(tensor) : tensor);
    const short = name.slice(4);
    if (block === '0' && /^v[012]$/.test(short)) return [];
    if (/^[wav]0$/.test(short)) return one(`attn.${short[0]}_lora.lora.2.bias`, flat(tensor));
    if (/^[wavg]1$/.test(short)) return one(`attn.${short[0]}_lora.lora.0.weight`, turned(tensor));
    if (/^[wavg]2$/.test(short)) return one(`attn.${short[0]}_lora.lora.2.weight`, turned(tensor));
    if (short.startsWith('x_')) {
      if (!fused) return one(`attn.${short}`);
      const parts = ['r', 'w', 'k', 'v', 'a', 'g'].map((letter) => all(`att.x_${letter}`));
      return one('attn.x_x', stacked(parts, 6, parts[0].data.length));
    }
    if (/^k_[ka]$/.test(short)) return one(`attn.${short}`, flat(tensor));
    if (short === 'r_k') return one('attn.r_k');
    if (short.startsWith('ln_x')) return one(`attn.g_norm.${short.slice(5)}`);
    return one(`attn.${short[0]}_proj.weight`);
  });

/** As flash-linear-attention has RWKV-6, whose order is r, w, k, v, g. */
export const asFla6 = (official: Tensors): Tensors =>
  converted(official, (block, name, tensor, all) => {
    const one = (to: string, made = tensor): [string, Floats][] => [
      [block === '' ? to : `model.layers.${block}.${to}`, made],
    ];
    const order = [3, 0, 1, 2, 4];
    if (block === '') {
      const [stem, kind] = name.split('.');
      if (stem === 'head') return one('lm_head.weight');
      return one(`model.${stem === 'emb' ? 'embeddings' : 'norm'}.${kind}`);
    }
    const norms: Record<string, string> = { ln0: 'pre_norm', ln1: 'attn_norm', ln2: 'ffn_norm' };
    const norm = /^(ln\d)\.(.*)$/.exec(name);
    if (norm) return one(`${norms[norm[1]]}.${norm[2]}`);
    if (name === 'ffn.value.weight') return one(name);
    if (name.startsWith('ffn.time_maa_')) {
      return one(`ffn.${name.endsWith('k') ? 'key' : 'receptance'}.mu`, flat(tensor));
    }
    if (name.startsWith('ffn.')) return one(name.replace('.weight', '.linear.weight'));
    switch (name.slice(4)) {
      case 'time_maa_x':
        return one('attn.x_proj.0.mu', flat(tensor));
      case 'time_maa_w1':
        return one('attn.x_proj.0.linear.weight', blocks(turned(tensor), order));
      case 'time_maa_w2': {
        const [five, rank, width] = tensor.shape;
        return one(
          'attn.x_proj.2.weight',
          turned(shaped(blocks(tensor, order), five * rank, width)),
        );
      }
      case 'time_decay':
        return one('attn.w_proj.linear.lora.2.bias', flat(tensor));
      case 'time_decay_w1':
        return one('attn.w_proj.linear.lora.0.weight', turned(tensor));
      case 'time_decay_w2':
        return one('attn.w_proj.linear.lora.2.weight', turned(tensor));
      case 'time_faaaa':
        return one('attn.bonus');
      case 'output.weight':
        return one('attn.o_proj.weight');
    }
    if (name.startsWith('att.time_maa_')) {
      const parts = ['r', 'w', 'k', 'v', 'g'].map((letter) => all(`att.time_maa_${letter}`));
      return one('attn.x_bias', stacked(parts, 5, parts[0].data.length));
    }
    if (name.startsWith('att.ln_x')) return one(`attn.g_norm.${name.slice(9)}`);
    return one(`attn.${name[4]}_proj.linear.weight`);
  });

/** As llama.cpp's converter writes it, with shapes in torch's order. */
export const asGguf = (official: Tensors, version: '6' | '7', rescaleEvery = 0): Tensors =>
  converted(official, (block, name, tensor, all) => {
    if (block === '') {
      const [stem, kind] = name.split('.');
      const stems: Record<string, string> = { emb: 'token_embd', ln_out: 'output_norm' };
      return [[`${stems[stem] ?? 'output'}.${kind}`, tensor]];
    }
    const to = (short: string, made = tensor): readonly [string, Floats] => [
      `blk.${block}.${short}`,
      made,
    ];
    const norms: Record<string, string> = { ln1: 'attn_norm', ln2: 'attn_norm_2' };
    const norm = /^(ln\d)\.(.*)$/.exec(name);
    if (norm?.[1] === 'ln0') return [[`token_embd_norm.${norm[2]}`, tensor]];
    if (norm) return [to(`${norms[norm[1]]}.${norm[2]}`)];
    const divided = rescaleEvery > 0 ? 2 ** Math.floor(Number(block) / rescaleEvery) : 1;
    if (name === 'ffn.value.weight') {
      return [
        to(
          'channel_mix_value.weight',
          mapped(tensor, (x) => x / divided),
        ),
      ];
    }
    if (/^ffn\.(x|time_maa)_/.test(name)) {
      return [to(`channel_mix_lerp_${name.at(-1)}.weight`, flat(tensor))];
    }
    if (name.startsWith('ffn.')) return [to(`channel_mix_${name.slice(4)}`)];
    const short = name.slice(4);
    if (short === 'output.weight') {
      return [
        to(
          'time_mix_output.weight',
          mapped(tensor, (x) => x / divided),
        ),
      ];
    }
    if (short.endsWith('.weight') && !short.startsWith('ln_x')) return [to(`time_mix_${short}`)];
    if (short.startsWith('ln_x')) return [to(`time_mix_ln.${short.slice(5)}`)];
    const letters = version === '7' ? 'rwkvag' : 'wkvrg';
    if (/^(x|time_maa)_[rwkvag]$/.test(short)) {
      const stem = version === '7' ? 'att.x_' : 'att.time_maa_';
      const parts = Array.from(letters, (letter) => all(stem + letter));
      const fused = stacked(parts, letters.length, 1, 1, parts[0].data.length);
      return [to('time_mix_lerp_fused.weight', fused)];
    }
    if (version === '6') {
      const names6: Record<string, Floats> = {
        time_maa_x: flat(tensor),
        time_decay: flat(tensor),
        time_faaaa: tensor,
      };
      const renamed = short
        .replace('time_maa_x', 'lerp_x')
        .replace('time_faaaa', 'first')
        .replace('time_maa_', '')
        .replace('time_', '');
      return [to(`time_mix_${renamed}.weight`, names6[short] ?? turned(tensor))];
    }
    if (short === 'r_k' || /0$|^k_/.test(short)) {
      const rows = [to(`time_mix_${short}.weight`, flat(tensor))];
      // Layer 0 has copies of a0, a1 and a2 where the layers above have v0, v1 and v2.
      return block === '0' && short === 'a0'
        ? [...rows, to('time_mix_v0.weight', flat(tensor))]
        : rows;
    }
    if (block === '0' && short.startsWith('v')) return [];
    const rows = [to(`time_mix_${short}.weight`, turned(tensor))];
    return block === '0' && short.startsWith('a')
      ? [...rows, to(`time_mix_v${short[1]}.weight`, turned(tensor))]
      : rows;
  });

/** As rwkv.cpp's converter writes it, with shapes in torch's order. */
export const asRwkvCpp = (official: Tensors, version: '4' | '5' | '6' | '7'): Tensors =>
  converted(official, (block, name, tensor, all) => {
    const full = block === '' ? name : `blocks.${block}.${name}`;
    const [heads] = tensor.shape;
    const perHead = tensor.data.length / heads;
    if (/time_mix_[kvrg]$|time_maa_[xwkvrg]$|ffn\.x_k$/.test(name)) return [[full, flat(tensor)]];
    if (/[wavg][12]$/.test(name)) return [[full, turned(tensor)]];
    if (name.startsWith('att.x_')) {
      const parts = Array.from('rwkvag', (letter) => all(`att.x_${letter}`));
      const fused = stacked(parts, 6, 1, parts[0].data.length);
      return [[`blocks.${block}.att.x_rwkvag`, fused]];
    }
    if (name === 'att.time_decay') {
      if (version === '4') return [[full, mapped(tensor, (x) => -Math.exp(x))]];
      if (version === '6') return [[full, shaped(tensor, 2, tensor.data.length / 2, 1)]];
      const decay = mapped(tensor, (x) => Math.exp(-Math.exp(x)));
      return [[full, shaped(decay, heads, perHead, 1)]];
    }
    if (name === 'att.time_first' && version === '5') {
      return [[full, shaped(mapped(tensor, Math.exp), heads, perHead, 1)]];
    }
    if (name === 'att.time_faaaa') return [[full, shaped(tensor, heads, perHead, 1)]];
    return [[full, tensor]];
  });

/** As web-rwkv's converter writes it. */
export const asWebRwkv = (official: Tensors, version: '4' | '5.1' | '5.2' | '6' | '7'): Tensors =>
  converted(official, (block, name, tensor, all) => {
    const full = block === '' ? name : `blocks.${block}.${name}`;
    const to = full.replace('time_faaaa', 'time_first').replace('time_maa', 'time_mix');
    if (version === '5.1' && /time_(decay|faaaa)$/.test(name)) {
      const size = all('att.key.weight').shape[0] / tensor.data.length;
      const repeated = Float32Array.from([...tensor.data].flatMap((x) => Array(size).fill(x)));
      return [[to, { shape: [tensor.data.length, size], data: repeated }]];
    }
    return [[to, /\.(\w*_)?[wavg][12]$/.test(full) ? turned(tensor) : tensor]];
  });
