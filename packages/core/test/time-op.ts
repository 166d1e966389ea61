import {
  allocateStates,
  evaluate,
  f32,
  i32,
  record,
  tensor,
  type Device,
  type HostTensor,
  type Shape,
  type Value,
} from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { openCpu } from '../src/index.ts';
import { randomTensor, widened } from './numbers.ts';

/** An operation along time: rows [tokens, width] first, then constants, states and offsets. */
export interface TimeOp {
  readonly name: string;
  record(values: readonly Value[]): readonly Value[];
  readonly width: number;
  /** How many arguments are rows. */
  readonly rows: number;
  readonly constants: readonly Shape[];
  /** Shape of each state of one slot. */
  readonly states: readonly Shape[];
}

interface Step {
  readonly rows: readonly HostTensor[];
  readonly constants: readonly HostTensor[];
  readonly states: readonly HostTensor[];
  readonly offsets: readonly number[];
}

/** Holds what packed sequences promise against each sequence alone, bit for bit. */
export function describeTimeOp(op: TimeOp): void {
  const constants = op.constants.map((shape, i) => randomTensor(50 + i, shape));
  const rowsFor = (tokens: number, dtype?: 'f16' | 'bf16'): HostTensor[] =>
    Array.from({ length: op.rows }, (_, i) => randomTensor(i + 1, [tokens, op.width], dtype));
  const statesFor = (slots: number): HostTensor[] =>
    op.states.map((shape, i) => randomTensor(80 + i, [slots, ...shape]));
  const run = async (device: Device, step: Step): Promise<HostTensor[]> =>
    evaluate(
      device,
      (...values) => op.record(values),
      ...step.rows,
      ...step.constants,
      ...step.states,
      tensor([step.offsets.length], step.offsets, 'i32'),
    );

  describe(`${op.name} over packed sequences`, () => {
    test.each([
      [[3, 0, 1, 5], 2],
      [[0, 0, 4], 0],
      [[1, 1, 1], 5],
      [[0, 0], 3],
    ])('lengths %j with %d rows of padding: each as it is alone', async (lengths, padding) => {
      await using device = openCpu();
      const offsets = [0];
      for (const length of lengths) offsets.push(offsets.at(-1)! + length);
      const rows = rowsFor(offsets.at(-1)! + padding);
      const states = statesFor(lengths.length);
      const [y, ...next] = await run(device, { rows, constants, states, offsets });

      for (const [slot, length] of lengths.entries()) {
        const [start, end] = [offsets[slot], offsets[slot + 1]];
        const [alone, ...aloneNext] = await run(device, {
          rows: rows.map((row) => part(row, start, end)),
          constants,
          states: states.map((state) => part(state, slot, slot + 1)),
          offsets: [0, length],
        });
        expect(part(y, start, end)).toEqual(alone);
        expect(next.map((state) => part(state, slot, slot + 1))).toEqual(aloneNext);
        if (length === 0) {
          expect(aloneNext).toEqual(states.map((state) => part(state, slot, slot + 1)));
        }
      }
      const rest = part(y, offsets.at(-1)!, y.shape[0]);
      expect(rest.data.every((element: number) => Object.is(element, 0))).toBe(true);
    });

    test('split anywhere, a sequence is the same', async () => {
      await using device = openCpu();
      const rows = rowsFor(6);
      const states = statesFor(1);
      const whole = await run(device, { rows, constants, states, offsets: [0, 6] });
      for (let at = 0; at <= 6; at++) {
        const [first, ...between] = await run(device, {
          rows: rows.map((row) => part(row, 0, at)),
          constants,
          states,
          offsets: [0, at],
        });
        const [second, ...last] = await run(device, {
          rows: rows.map((row) => part(row, at, 6)),
          constants,
          states: between,
          offsets: [0, 6 - at],
        });
        expect([...first.data, ...second.data]).toEqual([...whole[0].data]);
        expect(last).toEqual(whole.slice(1));
      }
    });

    test('a state on the device is updated where it lies', async () => {
      await using device = openCpu();
      const program = record('step', (recorder) => {
        const inputs = [
          ...Array.from({ length: op.rows }, (_, i) => recorder.input(`row${i}`, f32(2, op.width))),
          ...constants.map((constant, i) => recorder.input(`constant${i}`, constant)),
        ];
        const states = op.states.map((shape, i) => recorder.state(`state${i}`, f32(1, ...shape)));
        const [y, ...next] = op.record([...inputs, ...states, recorder.input('offsets', i32(2))]);
        states.forEach((state, i) => recorder.update(state, next[i]));
        return { y };
      });
      const { tensors } = allocateStates(device, [program]);
      const first = statesFor(1);
      first.forEach((state, i) => device.write(tensors.get(`state${i}`)!, state.data));
      const executable = await device.compile(program, { states: tensors });
      const rows = rowsFor(6);
      const found: number[] = [];
      for (let at = 0; at < 6; at += 2) {
        executable.run({
          ...Object.fromEntries(rows.map((row, i) => [`row${i}`, part(row, at, at + 2).data])),
          ...Object.fromEntries(constants.map(({ data }, i) => [`constant${i}`, data])),
          offsets: [0, 2],
        });
        found.push(...(await executable.read('y')).y);
      }
      const [y, ...last] = await run(device, { rows, constants, states: first, offsets: [0, 6] });
      expect(found).toEqual([...y.data]);
      for (const [i, { data }] of last.entries()) {
        expect(await device.read(tensors.get(`state${i}`)!)).toEqual(data);
      }
    });

    test.each(['f16', 'bf16'] as const)('rows and constants may be %s', async (dtype) => {
      await using device = openCpu();
      const step = { states: statesFor(1), offsets: [0, 4] };
      const rows = rowsFor(4, dtype);
      const narrow = constants.map(({ shape }, i) => randomTensor(50 + i, shape, dtype));
      expect(await run(device, { ...step, rows, constants: narrow })).toEqual(
        await run(device, { ...step, rows: rows.map(widened), constants: narrow.map(widened) }),
      );
    });

    test('a state of 16-bit floats and offsets of another length are refused', async () => {
      await using device = openCpu();
      const step = { rows: rowsFor(2), constants, states: statesFor(1), offsets: [0, 2] };
      const states = op.states.map((shape) => randomTensor(1, [1, ...shape], 'f16'));
      await expect(run(device, { ...step, states })).rejects.toThrow(/ must be f32 \[slots, /);
      await expect(run(device, { ...step, offsets: [0, 1, 2] })).rejects.toThrow(
        'offsets must be i32[2]',
      );
    });
  });
}

/** A part of a tensor along its first axis. */
export function part({ dtype, shape, data }: HostTensor, start: number, end: number): HostTensor {
  const inner = shape.slice(1).reduce((count, size) => count * size, 1);
  return {
    dtype,
    shape: [end - start, ...shape.slice(1)],
    data: data.slice(start * inner, end * inner),
  };
}
