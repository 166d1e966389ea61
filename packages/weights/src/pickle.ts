import { FormatError } from '@rwkv-js/tensor';
import { isAllowedGlobal, isCallableGlobal } from './pickle-globals.ts';
import {
  PickleCall,
  PickleDict,
  PickleGlobal,
  PicklePersistent,
  type PickleValue,
} from './pickle-values.ts';
import { quote } from './quote.ts';

/** The most bytes that one pickle may take. Those of the largest models take a quarter of a megabyte. */
export const longestPickle = 16 * 1024 * 1024;

/**
 * The most opcodes that one pickle may have, which bounds the memory that a file can ask for. A model
 * has about fifty a tensor.
 */
const mostOpcodes = 1_000_000;

/** Longest digits of a number; longer ones cost more than linear time to read. */
const longestNumber = 255;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Thrown where the bytes end inside the pickle; there may be more of them in the file. */
export class PickleCutError extends FormatError {}

/** A value, and the first byte after its pickle. */
export interface PickleResult {
  readonly value: PickleValue;
  readonly end: number;
  /** Every reference to something beside the pickle, wherever it is in the value. */
  readonly references: readonly PicklePersistent[];
}

/**
 * Reads one pickle (protocols 0 to 5, Python's pickletools) as inert records. Only the opcodes and
 * globals of weight files are taken, all others are refused by name; nothing is ever executed.
 * Nested and cyclic values cost nothing: there is no recursion.
 *
 * @param label what errors call the pickle.
 * @throws PickleCutError when `bytes` end before the pickle does; FormatError for anything else.
 */
export function readPickle(bytes: Uint8Array, label: string, start = 0): PickleResult {
  return new PickleMachine(bytes, label, start).run();
}

class PickleMachine {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #label: string;
  #at: number;
  /** The stack above the last mark, and those below earlier marks. */
  #stack: PickleValue[] = [];
  readonly #marks: PickleValue[][] = [];
  readonly #memo = new Map<number, PickleValue>();
  readonly #references: PicklePersistent[] = [];
  /** Pairs that were copied out of lists into dictionaries. */
  #copied = 0;

  constructor(bytes: Uint8Array, label: string, start: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#label = label;
    this.#at = start;
  }

  run(): PickleResult {
    for (let count = 0; count < mostOpcodes; count++) {
      const opcode = this.#u8();
      if (opcode === 0x2e /* STOP */) return this.#result();
      this.#step(opcode);
    }
    return this.#fail(`it has more than ${mostOpcodes} opcodes, no weight file needs so many`);
  }

  #result(): PickleResult {
    return { value: this.#pop(), end: this.#at, references: this.#references };
  }

  #step(opcode: number): void {
    switch (opcode) {
      case 0x80: // PROTO
        return this.#protocol(this.#u8());
      case 0x95: // FRAME
        return this.#need(this.#u64());
      case 0x28: // MARK
        this.#marks.push(this.#stack);
        this.#stack = [];
        return;
      case 0x30: // POP: takes a mark where one is on top
        if (this.#stack.length > 0) this.#pop();
        else this.#popMark();
        return;
      case 0x31: // POP_MARK
        this.#popMark();
        return;
      case 0x32: // DUP
        return this.#push(this.#top());

      case 0x4e: // NONE
        return this.#push(null);
      case 0x88: // NEWTRUE
        return this.#push(true);
      case 0x89: // NEWFALSE
        return this.#push(false);
      case 0x49: // INT
        return this.#push(this.#intLine());
      case 0x4c: // LONG
        return this.#push(this.#integer(this.#line(longestNumber).replace(/L$/, '')));
      case 0x4a: // BININT
        return this.#push(this.#view.getInt32(this.#take(4), true));
      case 0x4b: // BININT1
        return this.#push(this.#u8());
      case 0x4d: // BININT2
        return this.#push(this.#view.getUint16(this.#take(2), true));
      case 0x8a: // LONG1
        return this.#push(this.#long(this.#u8()));
      case 0x46: // FLOAT
        return this.#push(this.#float(this.#line(longestNumber)));
      case 0x47: // BINFLOAT
        return this.#push(this.#view.getFloat64(this.#take(8)));

      case 0x56: // UNICODE
        return this.#push(this.#line().replace(/\\u([0-9a-fA-F]{4})/g, unescapeUnicode));
      case 0x8c: // SHORT_BINUNICODE
      case 0x55: // SHORT_BINSTRING
        return this.#push(this.#text(this.#u8()));
      case 0x58: // BINUNICODE
      case 0x54: // BINSTRING
        return this.#push(this.#text(this.#u32()));
      case 0x8d: // BINUNICODE8
        return this.#push(this.#text(this.#u64()));
      case 0x43: // SHORT_BINBYTES
        return this.#push(this.#raw(this.#u8()));
      case 0x42: // BINBYTES
        return this.#push(this.#raw(this.#u32()));

      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        return this.#push([]);
      case 0x6c: // LIST
      case 0x74: // TUPLE
        return this.#push(this.#popMark());
      case 0x85: // TUPLE1
        return this.#push(this.#popMany(1));
      case 0x86: // TUPLE2
        return this.#push(this.#popMany(2));
      case 0x87: // TUPLE3
        return this.#push(this.#popMany(3));
      case 0x61: // APPEND
        return this.#append(this.#popMany(1));
      case 0x65: // APPENDS
        return this.#append(this.#popMark());
      case 0x7d: // EMPTY_DICT
        return this.#push(new PickleDict());
      case 0x64: // DICT
        return this.#push(this.#setItems(new PickleDict(), this.#popMark()));
      case 0x73: // SETITEM
        return this.#setItemsOfTop(this.#popMany(2));
      case 0x75: // SETITEMS
        return this.#setItemsOfTop(this.#popMark());

      case 0x70: // PUT
        return this.#put(this.#index());
      case 0x71: // BINPUT
        return this.#put(this.#u8());
      case 0x72: // LONG_BINPUT
        return this.#put(this.#u32());
      case 0x94: // MEMOIZE
        return this.#put(this.#memo.size);
      case 0x67: // GET
        return this.#get(this.#index());
      case 0x68: // BINGET
        return this.#get(this.#u8());
      case 0x6a: // LONG_BINGET
        return this.#get(this.#u32());

      case 0x63: // GLOBAL
        return this.#global(this.#line(), this.#line());
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.#popMany(2);
        if (typeof module !== 'string' || typeof name !== 'string') {
          return this.#fail('a global has a name that is no text');
        }
        return this.#global(module, name);
      }
      case 0x51: // BINPERSID
        return this.#reference(this.#pop());
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const [callee, args] = this.#popMany(2);
        return this.#push(this.#call(callee, args));
      }
      case 0x62: // BUILD: attributes of an object; none of them matters for its numbers
        this.#pop();
        this.#top();
        return;
      default:
        return this.#refuseOpcode(opcode);
    }
  }

  #protocol(version: number): void {
    if (version > 5) this.#fail(`it has protocol ${version}, and 0 to 5 can be read`);
  }

  #refuseOpcode(opcode: number): never {
    if (opcode === 0x69 /* INST */) {
      const name = `${this.#line()}.${this.#line()}`;
      return this.#fail(
        `it asks for ${quote(name)} to be made by INST, which weight files never do`,
      );
    }
    const hex = `0x${opcode.toString(16).padStart(2, '0')}`;
    const name = refusedOpcodes.get(opcode) ?? 'an unknown one';
    return this.#fail(`the opcode ${hex} (${name}) belongs in no weight file`);
  }

  // Globals and calls

  #global(module: string, name: string): void {
    const full = `${module}.${name}`;
    if (!isAllowedGlobal(full)) {
      this.#fail(
        `it asks for ${printable(full)}, which no weight file needs and which could run code; ` +
          'nothing was run, and the file should not be trusted',
      );
    }
    this.#push(new PickleGlobal(full));
  }

  #call(callee: PickleValue, args: PickleValue): PickleValue {
    if (!(callee instanceof PickleGlobal) || !isCallableGlobal(callee.name)) {
      const what = callee instanceof PickleGlobal ? callee.name : 'something that is no function';
      return this.#fail(`it asks for a call of ${what}, which weight files never do`);
    }
    if (!Array.isArray(args)) return this.#fail(`the arguments of ${callee.name} are no tuple`);
    if (callee.name === 'collections.OrderedDict') return this.#orderedDict(args);
    if (callee.name === 'torch.Size') return Array.isArray(args[0]) ? args[0] : [];
    return new PickleCall(callee.name, args);
  }

  /** `OrderedDict()`, or `OrderedDict([[key, value], …])` as Python 2 wrote it. */
  #orderedDict(args: PickleValue[]): PickleDict {
    const dict = new PickleDict();
    const pairs = args[0] ?? [];
    if (!Array.isArray(pairs)) return this.#fail('an OrderedDict is made of no list');
    // One list can be used again and again, so its length is not bounded by what is left to read.
    this.#copied += pairs.length;
    if (this.#copied > mostOpcodes) this.#fail('it asks for too many copies of lists');
    for (const pair of pairs) {
      if (!Array.isArray(pair) || pair.length !== 2) {
        return this.#fail('an OrderedDict is made of something but pairs');
      }
      this.#setItems(dict, pair);
    }
    return dict;
  }

  #reference(id: PickleValue): void {
    const reference = new PicklePersistent(id);
    this.#references.push(reference);
    this.#push(reference);
  }

  // Lists and dictionaries

  #append(items: PickleValue[]): void {
    const list = this.#top();
    if (!Array.isArray(list)) return this.#fail('something is appended to a value that is no list');
    for (const item of items) list.push(item);
  }

  #setItemsOfTop(items: PickleValue[]): void {
    const dict = this.#top();
    if (!(dict instanceof PickleDict)) {
      return this.#fail('a key is set in a value that is no dictionary');
    }
    this.#setItems(dict, items);
  }

  #setItems(dict: PickleDict, items: PickleValue[]): PickleDict {
    if (items.length % 2 !== 0) this.#fail('a dictionary has a key without a value');
    for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
    return dict;
  }

  // Stack and memo

  #push(value: PickleValue): void {
    this.#stack.push(value);
  }

  #top(): PickleValue {
    if (this.#stack.length === 0) return this.#underflow();
    return this.#stack[this.#stack.length - 1];
  }

  #pop(): PickleValue {
    const value = this.#stack.pop();
    return value === undefined ? this.#underflow() : value;
  }

  #popMany(count: number): PickleValue[] {
    if (this.#stack.length < count) return this.#underflow();
    return this.#stack.splice(this.#stack.length - count);
  }

  /** Everything above the last mark, and the mark. */
  #popMark(): PickleValue[] {
    const below = this.#marks.pop();
    if (!below) return this.#underflow();
    const above = this.#stack;
    this.#stack = below;
    return above;
  }

  #underflow(): never {
    return this.#fail('an opcode takes a value from an empty stack');
  }

  #put(index: number): void {
    this.#memo.set(index, this.#top());
  }

  #get(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) return this.#fail(`the memo ${index} is used and was never put`);
    this.#push(value);
  }

  // Bytes

  /** Checks that `length` bytes follow. */
  #need(length: number): void {
    if (length > this.#bytes.length - this.#at) {
      throw new PickleCutError(
        `Reading ${this.#label}: ${length} bytes were expected at byte ${this.#at} and ` +
          `${this.#bytes.length - this.#at} follow; it is cut short or damaged.`,
      );
    }
  }

  /** Steps over `length` bytes and gives their offset. */
  #take(length: number): number {
    this.#need(length);
    const at = this.#at;
    this.#at += length;
    return at;
  }

  #u8(): number {
    return this.#bytes[this.#take(1)];
  }

  #u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A u64 as a number; those beyond 2⁵³ lose bits and stay too long for any pickle. */
  #u64(): number {
    return Number(this.#view.getBigUint64(this.#take(8), true));
  }

  #raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  #text(length: number): string {
    const bytes = this.#raw(length);
    try {
      return utf8.decode(bytes);
    } catch {
      return this.#fail('a text is not UTF-8');
    }
  }

  /** Text up to the end of the line. */
  #line(longest = Infinity): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) {
      throw new PickleCutError(`Reading ${this.#label}: a line has no end; it is cut short.`);
    }
    if (end - this.#at > longest) this.#fail('a number has too many digits');
    const text = this.#text(end - this.#at);
    this.#at = end + 1;
    return text;
  }

  #intLine(): PickleValue {
    const text = this.#line(longestNumber);
    if (text === '00') return false;
    if (text === '01') return true;
    return this.#integer(text);
  }

  #integer(text: string): number | bigint {
    if (!/^[+-]?\d+$/.test(text)) return this.#fail(`${quote(text)} is no whole number`);
    return narrow(BigInt(text.replace('+', '')));
  }

  #index(): number {
    const index = this.#integer(this.#line(longestNumber));
    if (typeof index !== 'number' || index < 0) return this.#fail(`${index} is no memo`);
    return index;
  }

  #float(text: string): number {
    const value = Number(text.trim() || NaN);
    if (Number.isNaN(value) && text !== 'nan') return this.#fail(`${quote(text)} is no number`);
    return value;
  }

  /** A two's complement integer of `length` bytes. */
  #long(length: number): number | bigint {
    const bytes = this.#raw(length);
    if (length === 0) return 0;
    let hex = '';
    for (let i = length - 1; i >= 0; i--) hex += bytes[i].toString(16).padStart(2, '0');
    return narrow(BigInt.asIntN(8 * length, BigInt(`0x${hex}`)));
  }

  #fail(problem: string): never {
    throw new FormatError(`Reading ${this.#label}: ${problem} (byte ${this.#at}).`);
  }
}

/** Opcodes of pickletools that weight files never have; only their names, for the error. */
const refusedOpcodes = new Map([
  [0x53, 'STRING'],
  [0x50, 'PERSID'],
  [0x6f, 'OBJ'],
  [0x82, 'EXT1'],
  [0x83, 'EXT2'],
  [0x84, 'EXT4'],
  [0x8b, 'LONG4'],
  [0x8e, 'BINBYTES8'],
  [0x8f, 'EMPTY_SET'],
  [0x90, 'ADDITEMS'],
  [0x91, 'FROZENSET'],
  [0x92, 'NEWOBJ_EX'],
  [0x96, 'BYTEARRAY8'],
  [0x97, 'NEXT_BUFFER'],
  [0x98, 'READONLY_BUFFER'],
]);

const narrow = (value: bigint): number | bigint =>
  Number.isSafeInteger(Number(value)) ? Number(value) : value;

const unescapeUnicode = (_: string, hex: string): string =>
  String.fromCharCode(Number.parseInt(hex, 16));

/** A dotted name as it stands; anything else quoted. */
const printable = (name: string): string => (/^[\w.]{1,80}$/.test(name) ? name : quote(name));
