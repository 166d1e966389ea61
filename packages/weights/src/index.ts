export type { Adapter } from './adapters/adapter.ts';
export { mergeAdapter } from './adapters/merge-adapter.ts';
export { openAdapter, type AdapterOptions } from './adapters/open-adapter.ts';
export { type BlockEncoding, type BlockFormat } from './blocks/block-format.ts';
export { blockEncodings, blockFormats } from './blocks/block-formats.ts';
export { beside } from './beside.ts';
export { type ByteSource, type ReadOptions } from './byte-source.ts';
export { type MetadataList, type MetadataValue, type StoredVocabulary } from './container.ts';
export { type FileSink } from './file-sink.ts';
export { openSource, type WeightInput } from './open-source.ts';
export { type WeightFiles } from './open-files.ts';
export {
  openWeights,
  type OpenedEntry,
  type OpenedWeights,
  type OpenWeightsOptions,
  type UnsupportedEntry,
} from './open-weights.ts';
export { shardNames } from './shards.ts';
export { type TensorToWrite } from './safetensors-layout.ts';
export {
  encodeSafetensors,
  writeSafetensors,
  type SafetensorsOptions,
  type SafetensorsWriter,
  type TensorWithData,
} from './safetensors-write.ts';
export type { WriteOptions } from './write-parts.ts';
export { writeWeights, type WriteWeightsOptions } from './write-weights.ts';
export {
  ggufWriteTypes,
  writeGguf,
  type GgufWriteType,
  type WriteGgufOptions,
} from './write-gguf.ts';
