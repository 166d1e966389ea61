export { recordAccumulate, recordForward, weightsOf, type BatchShape } from './accumulate.ts';
export { recordApply } from './apply.ts';
export { saveCheckpoint } from './checkpoint.ts';
export { initialWeights, type InitialWeightsOptions } from './initialize.ts';
export { officialOptimizer, type OptimizerSettings } from './optimizer.ts';
export { packSequences, type TrainingSequence } from './pack.ts';
export { learningRate, type Schedule } from './schedule.ts';
export { Trainer, type TrainerOptions } from './trainer.ts';
