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
export { randomRwkv7, type Rwkv7Shape } from './random-models.ts';
export { releasedShapes } from './released-shapes.ts';
export { describeShared, readShared, sharedPath } from './shared.ts';
export {
  specificationModels,
  specificationPrompt,
  specificationWeights,
  type SpecificationModel,
} from './specification-models.ts';
export { specificationArray, specificationNumber } from './specification-numbers.ts';
