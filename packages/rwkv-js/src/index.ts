export { openCpu } from '@rwkv-js/core';
export {
  LanguageModel,
  modelMemory,
  readConfig,
  recordStep,
  type FeedOptions,
  type FinishReason,
  type GenerateOptions,
  type Generation,
  type LanguageModelOptions,
  type ModelConfig,
  type ModelMemory,
  type Prompt,
  type SamplingOptions,
  type Session,
  type SessionState,
  type StepShape,
} from '@rwkv-js/language';
export { stories } from '@rwkv-js/stories';
export {
  byteLength,
  DeviceError,
  elementCount,
  formatProgram,
  FormatError,
  ShapeError,
  UsageError,
  type Device,
  type LoadProgress,
  type WeightSource,
} from '@rwkv-js/tensor';
export { ByteTokenizer, parseVocabulary, type Tokenizer } from '@rwkv-js/tokenizer';
export {
  encodeSafetensors,
  openWeights,
  writeSafetensors,
  type OpenedWeights,
  type WeightInput,
} from '@rwkv-js/weights';
export { loadModel, type LoadModelOptions } from './load-model.ts';
export { deviceNames, openDevice } from './open-device.ts';
export { openTokenizer } from './open-tokenizer.ts';
