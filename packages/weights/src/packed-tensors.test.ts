import { pack, q4, q8, transposedDType, unpack, FormatError } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { openWeights } from './open-weights.ts';
import { encodeSafetensors } from './safetensors-write.ts';

const values = Float32Array.from({ length: 64 * 32 }, (_, i) => Math.sin(i));

describe('packed tensors in safetensors files', () => {
  test('come back as they were written, beside plain ones', async () => {
    const packed = [q8, q4, transposedDType(q8), transposedDType(q4)].map((dtype, i) => {
      const spec = { dtype, shape: i === 0 ? [2, 32, 32] : [64, 32] };
      return { name: `blocks.${i}.att.key.weight`, ...spec, data: pack(spec, values) };
    });
    const plain = {
      name: 'ln_out.bias',
      dtype: 'f32' as const,
      shape: [3],
      data: Float32Array.of(1, 2, 3),
    };
    const source = await openWeights(encodeSafetensors([...packed, plain]));
    expect([...source.tensors.keys()].toSorted()).toEqual(
      [...packed, plain].map(({ name }) => name).toSorted(),
    );
    expect(source.unsupported.size).toBe(0);
    for (const { name, dtype, shape, data } of packed) {
      expect(source.tensors.get(name)).toEqual({ dtype, shape });
      expect(await source.read(name)).toEqual(data);
    }
    await source.close();
  });

  test('are two tensors of the format, which any reader can take apart', () => {
    const spec = { dtype: transposedDType(q4), shape: [64, 32] };
    const file = encodeSafetensors([{ name: 'w', ...spec, data: pack(spec, values) }]);
    const length = Number(new DataView(file.buffer).getBigUint64(0, true));
    expect(JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)))).toEqual({
      'w.q4-columns': { dtype: 'U8', shape: [32, 32], data_offsets: [0, 1024] },
      'w.q4-columns.scales': { dtype: 'F16', shape: [32, 2], data_offsets: [1024, 1152] },
    });
    const data = file.slice(8 + length);
    expect(unpack(spec, data)[0]).toBeCloseTo(values[0]!, 1);
  });

  test.each([
    ['scales of another length', 'F16', [64, 2], 'U8', [64, 16]],
    ['scales of another dtype', 'F32', [64, 1], 'U8', [64, 16]],
    ['quants of another dtype', 'F16', [64, 1], 'I8', [64, 16]],
    ['rows that are not whole blocks', 'F16', [64, 1], 'U8', [64, 10]],
    ['no numbers', 'F16', [64, 0], 'U8', [64, 0]],
    ['no axes', 'F16', [], 'U8', []],
  ] as const)('with %s are a FormatError that names them', async (_, s, sShape, q, qShape) => {
    const opening = openWeights(fileOf({ 'w.q4.scales': [s, sShape], 'w.q4': [q, qShape] }));
    await expect(opening).rejects.toThrow(FormatError);
    await expect(opening).rejects.toThrow(/packed tensor "w" has quants of .* and scales of/);
  });

  test('that are there twice are a FormatError', async () => {
    const opening = openWeights(
      fileOf({ 'w.q4.scales': ['F16', [2, 1]], 'w.q4': ['U8', [2, 16]], w: ['F32', [2, 32]] }),
    );
    await expect(opening).rejects.toThrow('it has tensor "w" twice');
  });

  test('a tensor of bytes that only has such a name stays what it is', async () => {
    const source = await openWeights(fileOf({ 'w.q4': ['U8', [2, 16]], 'v.scales': ['F32', [2]] }));
    expect([...source.unsupported.keys()]).toEqual(['w.q4']);
    expect([...source.tensors.keys()]).toEqual(['v.scales']);
  });
});

const sizes: Readonly<Record<string, number>> = { F32: 4, F16: 2, U8: 1, I8: 1 };

/** A file of zeros by its header. */
function fileOf(entries: Record<string, readonly [string, readonly number[]]>): Uint8Array {
  let end = 0;
  const header: Record<string, unknown> = {};
  for (const [name, [dtype, shape]] of Object.entries(entries)) {
    const begin = end;
    end += shape.reduce((product, size) => product * size, sizes[dtype]!);
    header[name] = { dtype, shape, data_offsets: [begin, end] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + json.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  return file;
}
