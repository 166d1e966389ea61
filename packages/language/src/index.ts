export { calibrate, type ActivationStatistics, type CalibrationOptions } from './calibration.ts';
export {
  layerNormEpsilon,
  readConfig,
  type ConfigOptions,
  type ModelConfig,
  type NamedTensors,
  type Version,
} from './config.ts';
export { recordStep, type StepShape } from './frame.ts';
export type { FinishReason, GenerateOptions, Generation } from './generation.ts';
export type { DTypes } from './layer.ts';
export { modelMemory, type ModelMemory } from './memory.ts';
export { LanguageModel, type LanguageModelOptions } from './model.ts';
export {
  weightFormats,
  packingVersion,
  weightsIn,
  type WeightFormat,
  type WeightFormatOptions,
} from './packing.ts';
export { planStep, type KernelTotal, type StepPlan } from './plan-step.ts';
export { rwkv4Entries, type Rwkv4Shape } from './rwkv4-shapes.ts';
export { releasedShapes, rwkv7Entries, type Rwkv7Shape } from './rwkv7-shapes.ts';
export type { FeedOptions, Prompt, Session } from './session.ts';
export type { SessionState } from './session-state.ts';
export type { ModelAdapter } from './variant.ts';
export type { SamplingOptions } from './settings.ts';
