import type { IAsyncProperty } from 'fast-check';

/** Something that is tried with random inputs until it breaks. */
export interface Fuzzer extends AsyncDisposable {
  /**
   * The property that every input has to hold.
   *
   * @param held called with what each run that held did, in the command's units
   */
  property(held: (count: number) => void): IAsyncProperty<[unknown]>;
}

/** What `npm run fuzz` lists: a fuzzer by the name of its command. */
export interface FuzzCommand {
  readonly name: string;
  readonly summary: string;
  /** What is counted in each run, for people: `actions`. */
  readonly unit: string;
  open(): Fuzzer;
}
