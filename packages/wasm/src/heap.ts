import { addressSpace, firstAddress, pageBytes } from './control.ts';

/** Every region begins at a multiple of this: a cache line, so that workers do not meet in one. */
export const alignment = 64;

interface Region {
  readonly start: number;
  readonly end: number;
}

/**
 * Which parts of a 32-bit memory are taken. It knows addresses alone; who asks it grows the memory.
 */
export class Heap {
  /** Free parts below `end`, by address; no two touch, and none touches the end. */
  readonly #free: Region[] = [];
  /** Everything from here on is free. */
  #end = firstAddress;
  /** Everything from here on was never taken, so it is zero. */
  #untouched = firstAddress;

  /** Bytes that are taken. */
  get taken(): number {
    const free = this.#free.reduce((bytes, { start, end }) => bytes + end - start, 0);
    return this.#end - firstAddress - free;
  }

  /** Pages that hold all that is taken. */
  get pages(): number {
    return Math.ceil(this.#end / pageBytes);
  }

  /**
   * Takes a region.
   *
   * @returns its address, and whether it was never taken before and so is zero; undefined when there is no
   * room.
   */
  take(byteLength: number): { readonly address: number; readonly isNew: boolean } | undefined {
    const size = rounded(byteLength);
    const place = this.#free.findIndex(({ start, end }) => end - start >= size);
    if (place >= 0) {
      const { start, end } = this.#free[place]!;
      if (end - start === size) this.#free.splice(place, 1);
      else this.#free[place] = { start: start + size, end };
      return { address: start, isNew: false };
    }
    const start = this.#end;
    if (start + size > addressSpace) return undefined;
    const isNew = start >= this.#untouched;
    this.#end = start + size;
    this.#untouched = Math.max(this.#untouched, this.#end);
    return { address: start, isNew };
  }

  /** Gives back a region that `take` gave for as many bytes. */
  give(address: number, byteLength: number): void {
    const end = address + rounded(byteLength);
    const after = this.#free.findIndex(({ start }) => start > address);
    const place = after < 0 ? this.#free.length : after;
    const joinsBefore = this.#free[place - 1]?.end === address;
    const joinsAfter = this.#free[place]?.start === end;
    const region = {
      start: joinsBefore ? this.#free[place - 1]!.start : address,
      end: joinsAfter ? this.#free[place]!.end : end,
    };
    const first = place - (joinsBefore ? 1 : 0);
    const count = (joinsBefore ? 1 : 0) + (joinsAfter ? 1 : 0);
    if (region.end < this.#end) this.#free.splice(first, count, region);
    else {
      this.#free.splice(first, count);
      this.#end = region.start;
    }
  }
}

/** What a region of that many bytes takes. */
function rounded(byteLength: number): number {
  return Math.max(1, Math.ceil(byteLength / alignment)) * alignment;
}
