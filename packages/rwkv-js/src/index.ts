export { openCpu, randomBits } from '@rwkv-js/core';
export {
  download,
  openCache,
  openMemoryCache,
  type Cache,
  type CacheEntry,
  type CompleteFile,
  type DownloadOptions,
  type HubOptions,
  type HubProgress,
} from '@rwkv-js/hub';
export {
  calibrate,
  LanguageModel,
  modelMemory,
  planStep,
  readConfig,
  recordStep,
  releasedShapes,
  rwkv4Entries,
  rwkv7Entries,
  weightFormats,
  weightsIn,
  type ActivationStatistics,
  type FeedOptions,
  type FinishReason,
  type GenerateOptions,
  type Generation,
  type LanguageModelOptions,
  type ModelAdapter,
  type ModelConfig,
  type NamedTensors,
  type ModelMemory,
  type Prompt,
  type SamplingOptions,
  type Session,
  type SessionState,
  type StepPlan,
  type StepShape,
  type WeightFormat,
} from '@rwkv-js/language';
export { stories } from '@rwkv-js/stories';
export {
  byteLength,
  DeviceError,
  dtypeName,
  elementCount,
  formatProgram,
  FormatError,
  idealKernels,
  ShapeError,
  UsageError,
  type Device,
  type KernelTable,
  type LoadProgress,
  type WeightSource,
} from '@rwkv-js/tensor';
export {
  ByteTokenizer,
  packVocabulary,
  parseTokenizer,
  vocabularyOf,
  type EncodeOptions,
  type Tokenizer,
} from '@rwkv-js/tokenizer';
export { openWasm, type WasmOptions } from '@rwkv-js/wasm';
export {
  initialWeights,
  learningRate,
  saveCheckpoint,
  Trainer,
  type Schedule,
  type TrainingSequence,
} from '@rwkv-js/train';
export {
  encodeSafetensors,
  ggufWriteTypes,
  mergeAdapter,
  openAdapter,
  writeGguf,
  writeSafetensors,
  writeWeights,
  type GgufWriteType,
  type Adapter,
  type OpenedWeights,
  type WeightFiles,
  type WeightInput,
  type WriteOptions,
} from '@rwkv-js/weights';
export { encodeState, readState } from './state-file.ts';
export { loadModel, type LoadModelOptions, type LoadModelProgress } from './load-model.ts';
export { type AdapterFile } from './with-adapters.ts';
export { formatCandidates, type DeviceCandidate } from './choose-device.ts';
export { deviceNames, listDevices, openDevice, type OpenDeviceOptions } from './open-device.ts';
export { isIndexAddress, modelAddresses } from './model-parts.ts';
export { openWeights, type InputOptions } from './open-input.ts';
export { openTokenizer, tokenizerFor } from './open-tokenizer.ts';
export { readStatistics, writeStatistics } from './statistics-file.ts';
