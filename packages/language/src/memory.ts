import {
  byteLength,
  declared,
  parameterBytes,
  type Device,
  type WeightSource,
} from '@rwkv-js/tensor';
import { readConfig } from './config.ts';
import { isSequenceState } from './session-state.ts';
import { StepPrograms } from './step-programs.ts';

/** Bytes that a model will take on a device. */
export interface ModelMemory {
  /** All parameters together. */
  readonly parameters: number;
  /**
   * One sequence's state and what sampling keeps, and where the device reads back once for several steps a
   * second copy of the state to go back to; a model has this for each of its `slots`.
   */
  readonly statesPerSlot: number;
  /** One sequence's state alone: what `session.save()` keeps. */
  readonly savedState: number;
}

/**
 * What loading a model would allocate on a device, from its tensors' names, dtypes and shapes alone: nothing is
 * read and nothing is allocated.
 *
 * @throws FormatError when the tensors are not those of an official RWKV language model.
 */
export function modelMemory(source: WeightSource, device: Device): ModelMemory {
  const programs = new StepPrograms(readConfig(source), source, 1, device.kernels);
  const program = programs.program(1, 1);
  let statesPerSlot = 0;
  let savedState = 0;
  const { memory, stepsPerReadback } = device.kernels;
  for (const [name, spec] of declared(program, 'state')) {
    const copies = isSequenceState(name) && stepsPerReadback > 1 ? 2 : 1;
    statesPerSlot += copies * memory.byteLength(spec);
    if (isSequenceState(name)) savedState += byteLength(spec);
  }
  const parameters = parameterBytes(programs.forLoading(), device.kernels);
  return { parameters, statesPerSlot, savedState };
}
