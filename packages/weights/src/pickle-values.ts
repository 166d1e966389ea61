/**
 * What a pickle turns into here: inert records. Nothing of the pickle is ever called or looked up by
 * name; a global is only its name, a call only its record. Lists and tuples are both arrays. The
 * values may contain themselves, so nobody may walk them without end.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | PickleDict
  | PickleGlobal
  | PickleCall
  | PicklePersistent;

/** A dictionary; a Map, so that a key such as `__proto__` is only a key. */
export class PickleDict extends Map<PickleValue, PickleValue> {}

/** A class or function by its name: `torch.FloatStorage`. */
export class PickleGlobal {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** What a pickle asks to be called; never done. */
export class PickleCall {
  /** Name of the function: `torch._utils._rebuild_tensor_v2`. */
  readonly name: string;
  readonly args: readonly PickleValue[];

  constructor(name: string, args: readonly PickleValue[]) {
    this.name = name;
    this.args = args;
  }
}

/** A reference to something beside the pickle; for torch, a storage. */
export class PicklePersistent {
  readonly id: PickleValue;

  constructor(id: PickleValue) {
    this.id = id;
  }
}
