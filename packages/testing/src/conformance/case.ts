import type { HostTensor, Value } from '@rwkv-js/tensor';

/** How a case's tensor reaches the program. */
type Role = 'input' | 'parameter' | 'state';

/** How far a device may be from the oracle, by name; see `tolerances`. */
export type ToleranceName = keyof typeof tolerances;

/**
 * The largest difference allowed between a device and the oracle, relative to the larger of 1 and the
 * magnitude of the result. Integer results are equal.
 */
export const tolerances = {
  /** Elements are moved or chosen: nothing is rounded. */
  exact: 0,
  /** A few operations on each element in f32, with the device's own exponentials. */
  elementwise: 4e-6,
  /** Sums of some dozens to hundreds of products in f32, in any order. */
  sums: 2e-5,
  /**
   * Sums of n products, of elements of magnitude 1 with weights up to 1 / √n, where a kernel may keep each element, or
   * each with its weight's scale, as a whole number of 16 bits. That is off by 2^−16 at most and by 2^−16 / √3 on
   * average; weights are 1 / √(3n) on average, so errors that know nothing of each other make one of 2^−16 / 3 = 5e-6.
   * The largest of thousands of sums is off by five times that, and its square by twice as much.
   */
  sixteenBits: 5e-5,
  /** Activations of magnitude 1 that may round to a neighbouring quant of 127. */
  oneQuant: 8e-3,
  /** States that go through several steps. */
  recurrence: 1e-4,
} as const;

/** One thing that every device must compute as the oracle does. Data: it knows no device. */
export interface ConformanceCase {
  /** The operation that it is about. */
  readonly op: string;
  /** What is special about it: shapes, dtypes, layout of the sequences. */
  readonly name: string;
  readonly tolerance: ToleranceName;
  readonly tensors: readonly { readonly role: Role; readonly tensor: HostTensor }[];
  /** Records the operation on the tensors, in their order. */
  readonly build: (...values: Value[]) => readonly Value[];
  /** Which of the outputs are the new values of states: pairs of output and tensor. */
  readonly updates: readonly (readonly [output: number, tensor: number])[];
}

/** A tensor that the program takes anew at each run. */
export const input = (tensor: HostTensor): ConformanceCase['tensors'][number] => ({
  role: 'input',
  tensor,
});

/** A tensor that is loaded once. */
export const parameter = (tensor: HostTensor): ConformanceCase['tensors'][number] => ({
  role: 'parameter',
  tensor,
});

/** A tensor that lives on the device and may be updated. */
export const state = (tensor: HostTensor): ConformanceCase['tensors'][number] => ({
  role: 'state',
  tensor,
});
