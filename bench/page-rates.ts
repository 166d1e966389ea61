/** Tokens a second in a page: written by one sequence, by sixteen together, and read of a long prompt. */
export interface PageRates {
  readonly one: number;
  readonly many: number;
  readonly prompt: number;
}
