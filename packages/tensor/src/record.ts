import { ShapeError, UsageError } from './errors.ts';
import type { Attributes, OpDefinition } from './op.ts';
import type { Operation, Program, StateSlot, ValueInfo } from './program.ts';
import { formatSpec, isShape, sameSpec, type Shape, type TensorSpec } from './spec.ts';
import type { DType } from './dtype.ts';

/** A value while a program is recorded: what an operation gives and another one takes. */
export class Value implements TensorSpec {
  readonly dtype: DType;
  readonly shape: Shape;
  /** Its place in the program's list of values. */
  readonly id: number;
  /** The recording it belongs to; values of two recordings do not mix. */
  readonly recorder: Recorder;

  constructor(recorder: Recorder, id: number, spec: TensorSpec) {
    this.recorder = recorder;
    this.id = id;
    this.dtype = spec.dtype;
    this.shape = spec.shape;
  }
}

/** What `record` hands to its function: declares what a program takes, keeps and gives. */
export class Recorder {
  readonly #values: ValueInfo[] = [];
  readonly #operations: Operation[] = [];
  readonly #named = new Map<string, Value>();
  readonly #states = new Map<string, StateSlot>();
  /** The line that operations are said to come from, when they stand for one that was recorded before. */
  line: (() => string) | undefined;
  #finished = false;

  /** A small host array that is given anew at each run. */
  input(name: string, spec: TensorSpec): Value {
    return this.#declare('input', name, spec);
  }

  /**
   * A read-only tensor, loaded once and shared by every program that names it. Asking again for the
   * same name gives the same value.
   *
   * @throws ShapeError when the name was declared with another spec.
   */
  parameter(name: string, spec: TensorSpec): Value {
    const known = this.#named.get(name);
    if (known && this.#values[known.id]!.kind === 'parameter') {
      if (sameSpec(known, spec)) return known;
      throw new ShapeError(
        `parameter '${name}' was declared as ${formatSpec(known)} and now as ${formatSpec(spec)}; ` +
          `declare it once, or with the same shape and dtype`,
      );
    }
    return this.#declare('parameter', name, spec);
  }

  /**
   * A tensor that lives on the device from run to run, slot axis first. The value is what it held
   * before this run; `update` says what it holds after.
   *
   * @param fill what every element is before the first run; 0 when not given
   */
  state(name: string, spec: TensorSpec, fill = 0): Value {
    const value = this.#declare('state', name, spec);
    this.#states.set(name, { value: value.id, fill });
    return value;
  }

  /**
   * Says what a state holds after the run.
   *
   * @throws UsageError when `state` is not a state, already has an update, or the recording has
   * ended; ShapeError when the new value is of another shape or dtype.
   */
  update(state: Value, next: Value): void {
    this.#checkOpen();
    this.#check('update', state);
    this.#check('update', next);
    const info = this.#values[state.id]!;
    const slot = info.name === undefined ? undefined : this.#states.get(info.name);
    if (info.kind !== 'state' || slot === undefined || info.name === undefined) {
      throw new UsageError(`update takes a value that state() gave, and was given a ${info.kind}`);
    }
    if (slot.update !== undefined) {
      throw new UsageError(
        `state '${info.name}' was updated twice; a run has one new value for it`,
      );
    }
    if (!sameSpec(state, next)) {
      throw new ShapeError(
        `the new value of state '${info.name}' is ${formatSpec(next)}; the state is ${formatSpec(state)}`,
      );
    }
    this.#states.set(info.name, { ...slot, update: next.id });
  }

  /** Records one operation; what `defineOp` functions call. */
  apply(definition: OpDefinition, inputs: readonly Value[], attributes: Attributes): Value[] {
    this.#checkOpen();
    for (const input of inputs) this.#check(definition.name, input);
    const names = definition.arguments;
    if (inputs.length < names.filter((name) => !name.endsWith('?')).length) {
      throw new UsageError(
        `${definition.name} takes ${names.join(', ')} and was given ${inputs.length} of them`,
      );
    }
    const fail = (expected: string): never => {
      const found = inputs.map(
        (input, i) =>
          `${names[Math.min(i, names.length - 1)]!.replace('?', '')} ${formatSpec(input)}`,
      );
      throw new ShapeError(`${definition.name}(${found.join(', ')}): ${expected}`);
    };
    const specs = definition.infer(inputs, attributes, fail);
    for (const { shape } of specs) if (!isShape(shape)) fail(sizesAreCounts(shape));
    const outputs = specs.map((spec) => this.#value({ kind: 'computed', spec }));
    // Spelling out a stack costs more than all else of recording, and few lines are ever read.
    const stack = this.line ? undefined : new Error();
    const lineOf = this.line ?? (() => callerLine(stack!));
    let line: string | undefined;
    this.#operations.push({
      definition,
      attributes,
      inputs: inputs.map((input) => input.id),
      outputs: outputs.map((output) => output.id),
      get line() {
        return (line ??= lineOf());
      },
    });
    return outputs;
  }

  /** Ends the recording. */
  finish(name: string, outputs: Readonly<Record<string, Value>>): Program {
    this.#checkOpen();
    for (const output of Object.values(outputs)) this.#check(`program ${name}`, output);
    this.#finished = true;
    return {
      name,
      values: this.#values,
      operations: this.#operations,
      states: this.#states,
      outputs: new Map(Object.entries(outputs).map(([key, value]) => [key, value.id])),
    };
  }

  #declare(kind: 'input' | 'parameter' | 'state', name: string, spec: TensorSpec): Value {
    this.#checkOpen();
    if (this.#named.has(name)) {
      throw new UsageError(`a program has one input, parameter or state named '${name}', not two`);
    }
    if (!isShape(spec.shape)) {
      throw new ShapeError(`${kind} '${name}' ${formatSpec(spec)}: ${sizesAreCounts(spec.shape)}`);
    }
    const value = this.#value({ kind, name, spec });
    this.#named.set(name, value);
    return value;
  }

  #value(info: ValueInfo): Value {
    this.#values.push(info);
    return new Value(this, this.#values.length - 1, info.spec);
  }

  #checkOpen(): void {
    if (this.#finished) throw new UsageError('this recording has ended; record a new program');
  }

  #check(receiver: string, value: Value): void {
    if (!(value instanceof Value) || value.recorder !== this) {
      throw new UsageError(
        `${receiver} was given something that is not a value of this recording; ` +
          'declare arrays as input() or parameter() of the program',
      );
    }
  }
}

/**
 * Records a program: runs `build` once with values that stand for tensors.
 *
 * @param name what listings and errors call the program
 * @returns immutable plain data; nothing is computed until a device compiles and runs it
 */
export function record(
  name: string,
  build: (recorder: Recorder) => Readonly<Record<string, Value>>,
): Program {
  const recorder = new Recorder();
  return recorder.finish(name, build(recorder));
}

/** Records an operation in the recording its inputs belong to. */
export function apply(
  definition: OpDefinition,
  inputs: readonly Value[],
  attributes: Attributes,
): Value[] {
  const first = inputs[0];
  if (!(first instanceof Value)) {
    throw new UsageError(
      `${definition.name} was called without values; it records an operation inside record()`,
    );
  }
  return first.recorder.apply(definition, inputs, attributes);
}

function sizesAreCounts(shape: Shape): string {
  return `sizes must be whole numbers from 0, not [${shape.join(', ')}]`;
}

/** `file.ts:12` of the code that called the operation, for listings and errors. */
function callerLine({ stack = '' }: Error): string {
  // Engines and their tools put different lines before the frames, which end in line and column.
  const lines = stack.split('\n');
  const frames = lines.filter((line) => /:\d+:\d+\)?$/.test(line.trim()));
  // Frames: Recorder.apply, apply, the function of defineOp, then the caller.
  const frame = frames[3] ?? '';
  const match = /([^/\\(\s]+?)(?:\?[^:]*)?:(\d+):\d+\)?$/.exec(frame.trim());
  return match ? `${match[1]}:${match[2]}` : '';
}
