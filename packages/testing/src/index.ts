export { describeShared, readShared, sharedPath } from './shared.ts';
export {
  specificationModels,
  specificationPrompt,
  specificationWeights,
  type SpecificationModel,
} from './specification-models.ts';
export { specificationArray, specificationNumber } from './specification-numbers.ts';
