import { exp, openCpu } from '@rwkv-js/core';
import { describe, expect, test } from 'vitest';
import { UsageError } from './errors.ts';
import type { Program } from './program.ts';
import { record, type Recorder } from './record.ts';
import { bf16, f16, f32, i32, type TensorSpec } from './spec.ts';
import { allocateStates } from './states.ts';

function programWith(declare: (recorder: Recorder) => void, name = 'step'): Program {
  return record(name, (recorder) => {
    declare(recorder);
    return {};
  });
}

describe('allocateStates', () => {
  test('fills every state with its first value, in its own dtype', async () => {
    await using device = openCpu();
    const program = programWith((recorder) => {
      recorder.state('zero', f32(2, 2));
      recorder.state('low', f32(2), -1e30);
      recorder.state('half', f16(2), 1);
      recorder.state('brain', bf16(2), -2);
      recorder.state('count', i32(3), -1);
    });
    const states = allocateStates(device, [program]);
    const read = async (name: string) => device.read(states.tensors.get(name)!);
    expect(await read('zero')).toEqual(new Float32Array(4));
    expect(await read('low')).toEqual(Float32Array.of(-1e30, -1e30));
    expect(await read('half')).toEqual(Uint16Array.of(0x3c00, 0x3c00));
    expect(await read('brain')).toEqual(Uint16Array.of(0xc000, 0xc000));
    expect(await read('count')).toEqual(Int32Array.of(-1, -1, -1));
    expect(states.byteLength).toBe(16 + 8 + 4 + 4 + 12);
    states.dispose();
    states.dispose();
    expect([...states.tensors.values()].every(({ disposed }) => disposed)).toBe(true);
  });

  test('programs that name one state share it', async () => {
    await using device = openCpu();
    const doubling = (name: string): Program =>
      record(name, (recorder) => {
        const state = recorder.state('s', f32(1), 0);
        recorder.update(state, exp(state));
        return {};
      });
    const programs = [doubling('one'), doubling('two')];
    const { tensors } = allocateStates(device, programs);
    expect([...tensors.keys()]).toEqual(['s']);
    for (const program of programs) {
      (await device.compile(program, { states: tensors })).run({});
    }
    expect(await device.read(tensors.get('s')!)).toEqual(Float32Array.of(Math.E));
  });

  test('states that are there already are left alone', async () => {
    await using device = openCpu();
    const program = programWith((recorder) => {
      recorder.state('mine', f32(2));
      recorder.state('new', f32(1));
    });
    const { tensors: before } = allocateStates(device, [
      programWith((recorder) => recorder.state('mine', f32(2), 5)),
    ]);
    const states = allocateStates(device, [program], { except: before });
    expect([...states.tensors.keys()]).toEqual(['new']);
    states.dispose();
    expect(await device.read(before.get('mine')!)).toEqual(Float32Array.of(5, 5));
  });

  test.each<[TensorSpec, number, string]>([
    [f32(3), 0, "state 's' is f32[2] filled with 0 in one program and f32[3] filled with 0"],
    [f16(2), 0, 'f16[2] filled with 0 in program other'],
    [f32(2), 1, 'f32[2] filled with 1 in program other'],
  ])('programs that disagree are refused: %o filled with %d', async (spec, fill, message) => {
    await using device = openCpu();
    const programs = [
      programWith((recorder) => recorder.state('s', f32(2))),
      programWith((recorder) => recorder.state('s', spec, fill), 'other'),
    ];
    expect(() => allocateStates(device, programs)).toThrow(UsageError);
    expect(() => allocateStates(device, programs)).toThrow(message);
  });

  test('gives back what it allocated when the device has no more', async () => {
    await using device = openCpu();
    const made: { readonly disposed: boolean }[] = [];
    const allocate = device.allocate.bind(device);
    device.allocate = (...args) => {
      if (made.length === 1) throw new Error('no memory');
      const tensor = allocate(...args);
      made.push(tensor);
      return tensor;
    };
    const program = programWith((recorder) => {
      recorder.state('first', f32(2));
      recorder.state('second', f32(2));
    });
    expect(() => allocateStates(device, [program])).toThrow('no memory');
    expect(made.map(({ disposed }) => disposed)).toEqual([true]);
  });
});
