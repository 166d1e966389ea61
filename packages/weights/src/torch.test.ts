import { FormatError, viewBytes } from '@rwkv-js/tensor';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Call, Double, Global, Persistent, Tuple, type Picklable } from '../test/pickle-writer.ts';
import {
  orderedDict,
  parameterValue,
  stateDict,
  tensorValue,
  torchLegacy,
  torchZip,
  type Storage,
  type Tensor,
} from '../test/torch-writer.ts';
import { openWeights } from './open-weights.ts';

const values = Float32Array.from({ length: 12 }, (_, i) => i);
const storage: Storage = {
  key: '0',
  kind: 'Float',
  bytes: new Uint8Array(values.buffer),
  count: values.length,
};
const tensor: Tensor = { name: 'a', storage, offset: 0, shape: [3, 4], strides: [4, 1] };

/** A dictionary in both formats. */
const bothFiles = (object: Picklable, storages: readonly Storage[] = [storage]): Uint8Array[] => [
  torchZip(object, storages),
  torchLegacy(object, storages),
];

async function refused(file: Uint8Array, message: RegExp): Promise<void> {
  await expect(openWeights(file)).rejects.toThrow(FormatError);
  await expect(openWeights(file)).rejects.toThrow(message);
}

describe('torch files', () => {
  test('views are made row-major, whatever their offset and strides', async () => {
    const view = fc
      .record({
        offset: fc.nat({ max: 4 }),
        axes: fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.nat({ max: 5 })), {
          maxLength: 4,
        }),
      })
      .filter(({ offset, axes }) => {
        const count = axes.reduce((product, [size]) => product * size, 1);
        const last = axes.reduce((sum, [size, stride]) => sum + (size - 1) * stride, offset);
        return count <= 12 && (count === 0 || last < 12);
      });
    await fc.assert(
      fc.asyncProperty(
        view,
        fc.constantFrom('Float', 'BFloat16'),
        async ({ offset, axes }, kind) => {
          const shape = axes.map(([size]) => size);
          const strides = axes.map(([, stride]) => stride);
          let expected = [offset];
          for (const [size, stride] of axes) {
            expected = expected.flatMap((at) =>
              Array.from({ length: size }, (_, i) => at + i * stride),
            );
          }
          const source = kind === 'Float' ? values : Uint16Array.from(values);
          const stored = { ...storage, kind, bytes: new Uint8Array(source.buffer) };
          const odd = { ...tensor, storage: stored, offset, shape, strides };
          for (const file of bothFiles(stateDict([odd]), [stored])) {
            const weights = await openWeights(file);
            expect(weights.tensors.get('a')?.shape).toEqual(shape);
            const dtype = kind === 'Float' ? 'f32' : 'bf16';
            expect([...viewBytes(dtype, await weights.read('a'))]).toEqual(expected);
          }
        },
      ),
      { seed: 3, numRuns: 200 },
    );
  });

  test('a state_dict in a checkpoint is taken out, with short values as metadata', async () => {
    const state = new Map<Picklable, Picklable>([['exp_avg', tensorValue(tensor)]]);
    const object = new Map<Picklable, Picklable>([
      ['state_dict', stateDict([tensor], { ordered: true })],
      ['epoch', 3],
      ['_strategy', 'cpu fp32'],
      ['long', 'x'.repeat(2000)],
      ['optimizer', new Map<Picklable, Picklable>([[0, state]])],
    ]);
    for (const file of bothFiles(object)) {
      const weights = await openWeights(file);
      expect([...weights.tensors.keys()]).toEqual(['a']);
      expect([...weights.metadata]).toEqual([
        ['epoch', '3'],
        ['_strategy', 'cpu fp32'],
      ]);
    }
  });

  test('a legacy checkpoint may have storages of ignored tensors', async () => {
    const other = { ...storage, key: '1', kind: 'Half', bytes: new Uint8Array(6), count: 3 };
    const moment = tensorValue({ ...tensor, storage: other, shape: [3], strides: [1] });
    const object = new Map<Picklable, Picklable>([
      ['state_dict', stateDict([tensor])],
      ['optimizer', [moment]],
    ]);
    const weights = await openWeights(torchLegacy(object, [other, storage]));
    expect(viewBytes('f32', await weights.read('a'))).toEqual(values);
  });

  test('Parameters, and the _metadata of a module, are taken', async () => {
    const metadata = new Map<Picklable, Picklable>([
      ['_metadata', new Call(orderedDict, new Tuple())],
    ]);
    const items = new Map<Picklable, Picklable>([
      ['module.a', parameterValue(tensor)],
      ['module.b', tensorValue(tensor)],
    ]);
    const object = new Call(orderedDict, new Tuple(), items, metadata);
    for (const file of bothFiles(object)) {
      const weights = await openWeights(file);
      expect([...weights.tensors.keys()]).toEqual(['a', 'b']);
      expect(viewBytes('f32', await weights.read('b'))).toEqual(values);
    }
  });

  test('storages of other element types are listed as unsupported', async () => {
    const long = { ...storage, key: '1', kind: 'Long', bytes: new Uint8Array(16), count: 2 };
    const steps = { ...tensor, name: 'steps', storage: long, shape: [2], strides: [1] };
    const weights = await openWeights(torchZip(stateDict([tensor, steps]), [storage, long]));
    expect([...weights.tensors.keys()]).toEqual(['a']);
    expect(weights.unsupported.get('steps')).toEqual({ elementType: 'I64', shape: [2] });
  });

  test('a storage may be longer than its number of elements says', async () => {
    const longer = { ...storage, count: 6 };
    const few = { ...tensor, storage: longer, shape: [6], strides: [1] };
    const weights = await openWeights(torchZip(stateDict([few]), [longer]));
    expect(viewBytes('f32', await weights.read('a'))).toEqual(values.subarray(0, 6));
  });

  test.each<[string, Partial<Tensor>, RegExp]>([
    [
      'reaches past its storage',
      { offset: 1 },
      /reaches up to element 13 of a storage that has 12/,
    ],
    ['begins past its storage', { offset: 99, shape: [0], strides: [1] }, /reaches/],
    ['has a negative offset', { offset: -1 }, /negative/],
    ['has a negative size', { shape: [-3, 4] }, /negative/],
    ['has negative strides', { strides: [-4, 1] }, /negative/],
    ['has fewer strides than axes', { strides: [1] }, /do not fit/],
    ['repeats elements without end', { shape: [2 ** 40, 1], strides: [0, 0] }, /more elements/],
    ['overflows', { shape: [2 ** 52, 2 ** 52], strides: [0, 0] }, /more elements/],
    ['has strides that overflow', { strides: [2 ** 52, 2 ** 52] }, /reaches/],
  ])('a tensor that %s is refused', async (_, change, message) => {
    for (const file of bothFiles(stateDict([{ ...tensor, ...change }])))
      await refused(file, message);
  });

  test('a tensor whose size is no whole number is refused', async () => {
    const call = tensorValue(tensor);
    const [id, offset] = call.args.items;
    const sizes = new Tuple(new Double(1.5));
    const odd = new Call(call.callee, new Tuple(id, offset, sizes, new Tuple(1)));
    await refused(torchZip(new Map<Picklable, Picklable>([['a', odd]]), [storage]), /no whole/);
  });

  test('objects that are no dictionary of tensors are refused', async () => {
    for (const file of bothFiles([tensorValue(tensor)])) await refused(file, /a list of 1/);
    for (const file of bothFiles(tensorValue(tensor))) await refused(file, /a single tensor/);
    const scalar = new Map<Picklable, Picklable>([['lr', 1]]);
    await refused(torchZip(scalar, []), /no tensor by name \(its keys are "lr"\)/);
    const numbered = new Map<Picklable, Picklable>([[7, tensorValue(tensor)]]);
    for (const file of bothFiles(numbered)) await refused(file, /has 7 for its name/);
  });

  test('storages that are not as they should be are refused', async () => {
    const object = stateDict([tensor]);
    await refused(
      torchZip(object, []),
      /entry "archive\/data\/0", which the archive does not have/,
    );
    const short = { ...storage, bytes: new Uint8Array(40) };
    await refused(torchZip(object, [short]), /has 40 bytes/);
    await refused(torchLegacy(object, [short]), /cut short/);
    await refused(torchLegacy(object, []), /which is not there/);
    await refused(torchLegacy(object, [storage, storage]), /listed twice/);
    const long = { ...storage, bytes: new Uint8Array(50) };
    await refused(torchLegacy(object, [long]), /2 bytes follow/);
    await refused(
      torchLegacy(object, [{ ...storage, count: 2 ** 40 }]),
      /says it has 1099511627776/,
    );
    const half = { ...tensor, name: 'b', storage: { ...storage, kind: 'Half' } };
    await refused(torchZip(stateDict([tensor, half]), [storage]), /F16 \[12\] here and F32 \[12\]/);
  });

  test('references to anything but a storage are refused', async () => {
    const rebuild = new Global('torch._utils', '_rebuild_tensor_v2');
    for (const id of [
      'storage',
      new Tuple('module', 'x'),
      new Tuple('storage', 'x', '0', 'cpu', 1),
    ]) {
      const call = new Call(rebuild, new Tuple(new Persistent(id), 0, new Tuple(), new Tuple()));
      await refused(torchZip(new Map<Picklable, Picklable>([['a', call]]), []), /storage/);
    }
  });

  test('big-endian files are refused, and the byte order of others is read', async () => {
    const object = stateDict([tensor]);
    const order = (value: string) => ({
      more: [{ name: 'archive/byteorder', bytes: new TextEncoder().encode(value) }],
    });
    await refused(torchZip(object, [storage], order('big')), /"big"/);
    expect((await openWeights(torchZip(object, [storage], order('little')))).tensors.size).toBe(1);
    await refused(torchLegacy(object, [storage], { littleEndian: false }), /big-endian/);
  });

  test('an archive with no data.pkl, or two, is refused', async () => {
    const more = [{ name: 'b/data.pkl', bytes: new Uint8Array(1) }];
    await refused(torchZip(stateDict([tensor]), [storage], { more }), /2 data\.pkl/);
    await refused(torchZip(stateDict([tensor]), [storage], { folder: 'a/b' }), /no data\.pkl/);
  });

  test('a legacy file whose pickles are longer than the first read is read', async () => {
    const many = Array.from({ length: 9000 }, (_, i) => ({
      ...tensor,
      name: `${'blocks.0.att.'.repeat(10)}${i}`,
    }));
    const weights = await openWeights(torchLegacy(stateDict(many), [storage]));
    expect(weights.tensors.size).toBe(9000);
  });
});
