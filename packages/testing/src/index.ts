export { deviceWith, type DeviceChanges } from './device-with.ts';
export {
  centralDifference,
  dot,
  expectGradients,
  expectSlope,
  seededNumbers,
  seededTensor,
  spreadPlaces,
  type ExpectGradientsOptions,
} from './finite-differences.ts';
export { expectGolden, type GoldenModel } from './golden.ts';
export { letters } from './letters.ts';
export { randomWeights } from './random-weights.ts';
export { SessionActions } from './sessions/session-actions.ts';
export { describeShared, readShared, sharedPath } from './shared.ts';
export {
  specificationModels,
  specificationPrompt,
  specificationWeights,
  type SpecificationModel,
} from './specification-models.ts';
export { specificationArray, specificationNumber } from './specification-numbers.ts';
export { conformanceCases } from './conformance/cases.ts';
export { tolerances, type ConformanceCase } from './conformance/case.ts';
export { diff, type Bindings, type Difference } from './conformance/diff.ts';
export { RandomTensors } from './conformance/random-tensor.ts';
export { firstDifference, prepareCase, programOf, runCase } from './conformance/run-case.ts';
export { describeConformance, formatSupport, supportOf } from './conformance/suite.ts';
