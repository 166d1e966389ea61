/**
 * Writes pickles as Python's pickler does in protocol 2, byte for byte, for what weight files hold.
 * For tests and fixtures; there is no reader of pickles in it, so it can check one.
 */

/** A value to be pickled. Arrays are lists, Maps are dictionaries. */
export type Picklable =
  | null
  | boolean
  | number
  | bigint
  | string
  | Picklable[]
  | Map<Picklable, Picklable>
  | Tuple
  | Global
  | Call
  | Persistent
  | Double;

export class Tuple {
  readonly items: readonly Picklable[];
  constructor(...items: readonly Picklable[]) {
    this.items = items;
  }
}

/** A float, which would otherwise be written as a whole number. */
export class Double {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

export class Global {
  readonly module: string;
  readonly name: string;
  constructor(module: string, name: string) {
    this.module = module;
    this.name = name;
  }
}

/** `callee(*args)`, then the items of a dictionary, then attributes. */
export class Call {
  readonly callee: Global;
  readonly args: Tuple;
  readonly items: Map<Picklable, Picklable> | undefined;
  readonly state: Picklable | undefined;
  constructor(callee: Global, args: Tuple, items?: Map<Picklable, Picklable>, state?: Picklable) {
    this.callee = callee;
    this.args = args;
    this.items = items;
    this.state = state;
  }
}

export class Persistent {
  readonly id: Picklable;
  constructor(id: Picklable) {
    this.id = id;
  }
}

/** Items that the pickler puts into one SETITEMS or APPENDS. */
const batch = 1000;

/** The pickle of a value, from PROTO to STOP. */
export function pickle(value: Picklable): Uint8Array {
  return new Pickler().pickle(value);
}

class Pickler {
  readonly #out: number[] = [0x80, 2];
  readonly #memo = new Map<unknown, number>();

  pickle(value: Picklable): Uint8Array {
    this.#save(value);
    this.#out.push(0x2e);
    return Uint8Array.from(this.#out);
  }

  #save(value: Picklable): void {
    if (value === null) this.#byte(0x4e);
    else if (typeof value === 'boolean') this.#byte(value ? 0x88 : 0x89);
    else if (typeof value === 'number' || typeof value === 'bigint') this.#int(BigInt(value));
    else if (value instanceof Double) this.#double(value.value);
    else if (value instanceof Tuple && value.items.length === 0) this.#byte(0x29);
    else if (value instanceof Persistent) {
      this.#save(value.id);
      this.#byte(0x51);
    } else if (!this.#fromMemo(value)) this.#saveMemoised(value);
  }

  #saveMemoised(
    value: string | Picklable[] | Map<Picklable, Picklable> | Tuple | Global | Call,
  ): void {
    if (typeof value === 'string') this.#string(value);
    else if (Array.isArray(value)) this.#list(value);
    else if (value instanceof Map) {
      this.#byte(0x7d);
      this.#remember(value);
      this.#items(value);
    } else if (value instanceof Tuple) this.#tuple(value);
    else if (value instanceof Global) {
      this.#byte(0x63, ...utf8(`${value.module}\n${value.name}\n`));
      this.#remember(`global ${value.module}.${value.name}`);
    } else this.#call(value);
  }

  #call(value: Call): void {
    this.#save(value.callee);
    this.#save(value.args);
    this.#byte(0x52);
    this.#remember(value);
    if (value.items) this.#items(value.items);
    if (value.state !== undefined) {
      this.#save(value.state);
      this.#byte(0x62);
    }
  }

  #int(value: bigint): void {
    if (value >= 0 && value < 256n) this.#byte(0x4b, Number(value));
    else if (value >= 0 && value < 65536n) this.#byte(0x4d, ...little(value, 2));
    else if (value === BigInt.asIntN(32, value)) this.#byte(0x4a, ...little(value, 4));
    else {
      let length = 1;
      while (BigInt.asIntN(8 * length, value) !== value) length++;
      this.#byte(0x8a, length, ...little(value, length));
    }
  }

  #double(value: number): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value);
    this.#byte(0x47, ...bytes);
  }

  #string(value: string): void {
    const bytes = utf8(value);
    this.#byte(0x58, ...little(BigInt(bytes.length), 4));
    for (const byte of bytes) this.#byte(byte);
    this.#remember(`string ${value}`);
  }

  #list(value: Picklable[]): void {
    this.#byte(0x5d);
    this.#remember(value);
    for (let start = 0; start < value.length; start += batch) {
      const part = value.slice(start, start + batch);
      if (part.length > 1) this.#byte(0x28);
      for (const item of part) this.#save(item);
      this.#byte(part.length > 1 ? 0x65 : 0x61);
    }
  }

  #items(dict: Map<Picklable, Picklable>): void {
    const entries = [...dict];
    for (let start = 0; start < entries.length; start += batch) {
      const part = entries.slice(start, start + batch);
      if (part.length > 1) this.#byte(0x28);
      for (const [key, item] of part) {
        this.#save(key);
        this.#save(item);
      }
      this.#byte(part.length > 1 ? 0x75 : 0x73);
    }
  }

  #tuple(value: Tuple): void {
    const { items } = value;
    if (items.length > 3) this.#byte(0x28);
    for (const item of items) this.#save(item);
    this.#byte(items.length > 3 ? 0x74 : 0x84 + items.length);
    this.#remember(value);
  }

  #remember(key: unknown): void {
    const index = this.#memo.size;
    this.#memo.set(key, index);
    if (index < 256) this.#byte(0x71, index);
    else this.#byte(0x72, ...little(BigInt(index), 4));
  }

  #fromMemo(value: Exclude<Picklable, null | boolean | number | bigint>): boolean {
    const key =
      typeof value === 'string'
        ? `string ${value}`
        : value instanceof Global
          ? `global ${value.module}.${value.name}`
          : value;
    const index = this.#memo.get(key);
    if (index === undefined) return false;
    if (index < 256) this.#byte(0x68, index);
    else this.#byte(0x6a, ...little(BigInt(index), 4));
    return true;
  }

  #byte(...bytes: readonly number[]): void {
    this.#out.push(...bytes);
  }
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Two's complement, least byte first. */
const little = (value: bigint, length: number): number[] =>
  Array.from({ length }, (_, i) => Number(BigInt.asUintN(8, value >> BigInt(8 * i))));
