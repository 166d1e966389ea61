/**
 * A format of quantised weights: `elements` numbers in a row share a block of `bytes` bytes. Blocks
 * follow each other along the last axis of a tensor. Layouts: specs/rwkv.md §5.6.
 */
export interface BlockFormat {
  /** As ggml names it: `Q4_0`, `Q6_K`. */
  readonly name: string;
  /** Numbers in a block. */
  readonly elements: number;
  /** Bytes of a block. */
  readonly bytes: number;
  /** The numbers of whole blocks. `values` has `elements` places for each block of `blocks`. */
  decode(blocks: Uint8Array, values: Float32Array): void;
}

/** A format that numbers can be put into. */
export interface BlockEncoding extends BlockFormat {
  /**
   * The blocks that come nearest to `values`, which must be whole blocks of finite numbers, as ggml
   * makes them. `blocks` has `bytes` places for each block.
   *
   * @throws UsageError for a number that the format cannot hold.
   */
  encode(values: Float32Array, blocks: Uint8Array): void;
}
