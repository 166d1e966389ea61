export { type ByteSource, type ReadOptions } from './byte-source.ts';
export { type FileSink } from './file-sink.ts';
export { openSource, type WeightInput } from './open-source.ts';
export { openWeights, type OpenedWeights, type UnsupportedEntry } from './open-weights.ts';
export { type TensorToWrite } from './safetensors-layout.ts';
export {
  encodeSafetensors,
  writeSafetensors,
  type SafetensorsOptions,
  type SafetensorsWriter,
  type TensorWithData,
} from './safetensors-write.ts';
export { writeWeights, type WriteProgress, type WriteWeightsOptions } from './write-weights.ts';
