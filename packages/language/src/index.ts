export {
  layerNormEpsilon,
  mainDType,
  readConfig,
  type ConfigOptions,
  type ModelConfig,
  type Version,
} from './config.ts';
export { recordStep, type StepShape } from './frame.ts';
export type { FinishReason, GenerateOptions, Generation } from './generation.ts';
export type { DTypes } from './layer.ts';
export { modelMemory, type ModelMemory } from './memory.ts';
export { LanguageModel, type LanguageModelOptions } from './model.ts';
export type { FeedOptions, Prompt, Session } from './session.ts';
export type { SessionState } from './session-state.ts';
export type { SamplingOptions } from './settings.ts';
