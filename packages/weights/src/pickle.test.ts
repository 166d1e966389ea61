import { FormatError } from '@rwkv-js/tensor';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  Call,
  Double,
  Global,
  Persistent,
  pickle,
  Tuple,
  type Picklable,
} from '../test/pickle-writer.ts';
import { orderedDict } from '../test/torch-writer.ts';
import { readPickle } from './pickle.ts';
import {
  PickleCall,
  PickleDict,
  PickleGlobal,
  PicklePersistent,
  type PickleValue,
} from './pickle-values.ts';

/** A pickle written by hand: text stands for its bytes. */
const bytes = (...parts: readonly (number | string)[]): Uint8Array =>
  Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === 'number' ? [part] : Array.from(part, (c) => c.charCodeAt(0)),
    ),
  );

const read = (...parts: readonly (number | string)[]): PickleValue =>
  readPickle(bytes(...parts), 'a pickle').value;

/** What reading a pickled value must give. */
function expected(value: Picklable): PickleValue {
  if (Array.isArray(value)) return value.map(expected);
  if (value instanceof Tuple) return value.items.map(expected);
  if (value instanceof Map) {
    return new PickleDict(Array.from(value, ([key, item]) => [expected(key), expected(item)]));
  }
  if (value instanceof Double) return value.value;
  if (value instanceof Global) return new PickleGlobal(`${value.module}.${value.name}`);
  if (value instanceof Persistent) return new PicklePersistent(expected(value.id));
  if (value instanceof Call) {
    const name = `${value.callee.module}.${value.callee.name}`;
    if (value.callee === orderedDict) return expected(value.items ?? new Map());
    return new PickleCall(name, value.args.items.map(expected));
  }
  if (typeof value === 'bigint' && Number.isSafeInteger(Number(value))) return Number(value);
  return value;
}

const { value: picklable } = fc.letrec<{ value: Picklable }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'medium' },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.bigInt(-(2n ** 200n), 2n ** 200n),
    fc.string({ unit: 'grapheme' }),
    fc.double({ noNaN: true }).map((value) => new Double(value)),
    fc.constantFrom(new Global('torch', 'FloatStorage'), new Global('torch', 'bfloat16')),
    fc.array(tie('value')),
    fc.array(tie('value')).map((items) => new Tuple(...items)),
    fc
      .array(fc.tuple(fc.string(), tie('value')))
      .map((items) => new Map<Picklable, Picklable>(items)),
    tie('value').map((id) => new Persistent(id)),
    fc
      .array(fc.tuple(fc.string(), tie('value')))
      .map((items) => new Call(orderedDict, new Tuple(), new Map<Picklable, Picklable>(items))),
    fc
      .array(tie('value'))
      .map(
        (args) => new Call(new Global('torch._utils', '_rebuild_tensor_v2'), new Tuple(...args)),
      ),
  ),
}));

describe('readPickle', () => {
  test('gives back whatever the writer of the tests wrote', () => {
    fc.assert(
      fc.property(picklable, (value) => {
        const written = pickle(value);
        const { value: found, end } = readPickle(written, 'a pickle');
        expect(found).toEqual(expected(value));
        expect(end).toBe(written.length);
      }),
      { seed: 7, numRuns: 500 },
    );
  });

  test('a pickle cut anywhere is a FormatError', () => {
    fc.assert(
      fc.property(picklable, fc.nat(), (value, at) => {
        const written = pickle(value);
        expect(() => readPickle(written.subarray(0, at % written.length), 'a pickle')).toThrow(
          FormatError,
        );
      }),
      { seed: 8, numRuns: 500 },
    );
  });

  test('any bytes at all give a value or a FormatError', () => {
    const before = Object.getOwnPropertyNames(Object.prototype);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (garbage) => {
        try {
          readPickle(garbage, 'a pickle');
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      { seed: 9, numRuns: 5000 },
    );
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
  });

  test('a value that was put is the same value when it is got', () => {
    const shared: Picklable[] = [1];
    const value = readPickle(pickle([shared, shared]), 'a pickle').value;
    expect(Array.isArray(value) && value[0] === value[1]).toBe(true);
  });

  test('reads the text opcodes of old protocols', () => {
    expect(read('(I5\nI01\nL-12L\nF1.5\nVa\\u0041\nU', 2, 'bc', 'l.')).toEqual([
      5,
      true,
      -12,
      1.5,
      'aA',
      'bc',
    ]);
    expect(read('(Va\nI1\ndp0\n0g0\n.')).toEqual(new PickleDict([['a', 1]]));
  });

  test('reads frames and memoised values of protocol 4', () => {
    const frame = [0x95, 9, 0, 0, 0, 0, 0, 0, 0] as const;
    expect(read(0x80, 4, ...frame, ']', 0x94, 0x8c, 1, 'a', 0x94, 'ah', 1, 'a.')).toEqual([
      'a',
      'a',
    ]);
  });

  test('reads an OrderedDict of pairs, as Python 2 wrote it', () => {
    expect(read('ccollections\nOrderedDict\n)R.')).toEqual(new PickleDict());
    expect(read('ccollections\nOrderedDict\n(]](U', 1, 'aK', 5, 'eatR.')).toEqual(
      new PickleDict([['a', 5]]),
    );
  });

  test('names that mean something in JavaScript change nothing', () => {
    const value = read('}U', 9, '__proto__}U', 8, 'pollutedK', 1, 'ss.');
    expect(value).toBeInstanceOf(PickleDict);
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });

  test('values that contain themselves are read', () => {
    const value = read(']q', 0, 'h', 0, 'a.');
    expect(Array.isArray(value) && value[0] === value).toBe(true);
  });

  test('nesting of any depth is read', () => {
    expect(Array.isArray(read(']'.repeat(100_000), 'a'.repeat(99_999), '.'))).toBe(true);
    let inner: unknown = read('('.repeat(100_000), 't'.repeat(100_000), '.');
    let depth = 0;
    for (; Array.isArray(inner) && depth < 200_000; depth++) inner = inner[0];
    expect(depth).toBe(100_000);
  });

  test.each([
    ['a function', ['cos\nsystem\n.'], /asks for os\.system,/],
    [
      'a function by STACK_GLOBAL',
      [0x80, 4, 0x8c, 2, 'os', 0x8c, 6, 'system', 0x93, '.'],
      /os\.system/,
    ],
    ['a function by INST', ['(ios\nsystem\n.'], /os\.system/],
    ['a function of builtins', ['c__builtin__\neval\n.'], /__builtin__\.eval/],
    ['a strange name', ['ca\u0007\nb\u001b\n.'], /"a\\u0007\.b\\u001b"/],
    ['a dotted path through a legitimate name', ['ctorch\nSize.mro\n.'], /torch\.Size\.mro/],
    ['a call of what is no function', ['ctorch\nFloatStorage\n)R.'], /call of torch\.FloatStorage/],
    ['a call of a value', ['])R.'], /no function/],
    ['an opcode that weight files never have', [0x80, 4, 0x8f, '.'], /0x8f \(EMPTY_SET\)/],
    ['an unknown opcode', [0xff], /0xff/],
    ['a protocol of the future', [0x80, 6], /protocol 6/],
    ['an empty stack', ['.'], /empty stack/],
    ['a missing mark', ['t.'], /empty stack/],
    ['values under a mark', ['](a.'], /empty stack/],
    ['a memo that was never put', ['h', 9], /memo 9/],
    ['a long text in a short pickle', ['X', 0xff, 0xff, 0xff, 0x7f, 'a'], /2147483647 bytes/],
    ['a text that is no UTF-8', ['U', 1, 0xff, '.'], /UTF-8/],
    ['a key without a value', ['}(K', 1, 'u.'], /without a value/],
    ['a key of no dictionary', [']K', 1, 'K', 2, 's.'], /no dictionary/],
    ['an item of no list', ['}K', 1, 'a.'], /no list/],
    ['a number of many digits', [`L${'9'.repeat(1000)}L\n.`], /too many digits/],
    ['a number that is none', ['Ia\n.'], /no whole number/],
  ])('refuses %s', (_, parts, message) => {
    expect(() => read(...parts)).toThrow(FormatError);
    expect(() => read(...parts)).toThrow(message);
  });

  test('refuses more opcodes than any weight file has', () => {
    expect(() => readPickle(new Uint8Array(2_000_000).fill(0x7d), 'a pickle')).toThrow(/opcodes/);
  });

  test('refuses one list copied again and again', () => {
    const pairs = '(K\u0001K\u0002t'.repeat(2000);
    const copies = 'ccollections\nOrderedDict\nh\u0000\u0085R0'.repeat(1000);
    expect(() => read('](', pairs, 'eq', 0, copies, '.')).toThrow(/too many copies/);
  });
});
