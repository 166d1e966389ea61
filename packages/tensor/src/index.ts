export { placeInArena, type Lifetime } from './arena.ts';
export { convert, firstNotFinite, fitsDType, setElements, type Elements } from './convert.ts';
export type {
  CompileOptions,
  Device,
  DeviceInfo,
  DeviceTensor,
  ElementRange,
  Executable,
  RunInputs,
} from './device.ts';
export {
  bytesFor,
  dtypeName,
  hostArray,
  isFloating,
  isPacked,
  sameDType,
  viewBytes,
  type DType,
  type HostArray,
  type PackedDType,
  type PlainArray,
  type PlainDType,
} from './dtype.ts';
export { DeviceError, FormatError, ShapeError, UsageError } from './errors.ts';
export { evaluate, tensor } from './evaluate.ts';
export { bindTensors, checkRunInputs } from './executable-checks.ts';
export { accumulate, assign } from './gradient-ops.ts';
export { gradients, type GradientOptions } from './gradients.ts';
export { halfValues, toBf16Bits, toF16Bits } from './half.ts';
export {
  plainLaunch,
  type KernelLaunch,
  type KernelTable,
  type MemoryPolicy,
  type OperationView,
} from './kernel-table.ts';
export { fromParameters, splitLoadTime, type LoadTimeSplit } from './load-time.ts';
export { leastError } from './least-error.ts';
export { lower, rewrite } from './lower.ts';
export { costOf, idealKernels, NullDevice, type PlanCost } from './null-device.ts';
export {
  defineOp,
  sizeAt,
  type Attributes,
  type ByRows,
  type Cost,
  type GradientCall,
  type HostTensor,
  type Op,
  type OpDefinition,
  type ReferenceCall,
  type RowPart,
} from './op.ts';
export {
  canPack,
  nearest,
  pack,
  packedDType,
  packedForm,
  packedPlanes,
  q4,
  q8,
  q8Activations,
  quantsOf,
  transposedDType,
  unpack,
  unpackLines,
  type BlockRounding,
  type PackedForm,
  type PackedPlane,
  type PackedSpec,
} from './packed.ts';
export {
  loadParameters,
  parameterBytes,
  type LoadOptions,
  type LoadProgress,
  type Parameters,
} from './parameters.ts';
export {
  plan,
  type BufferUse,
  type KernelCall,
  type Plan,
  type PlanBuffer,
  type PlanSlot,
} from './plan.ts';
export {
  declared,
  formatProgram,
  viewOf,
  type Operation,
  type Program,
  type StateSlot,
  type ValueInfo,
} from './program.ts';
export { record, Recorder, Value } from './record.ts';
export {
  bf16,
  byteLength,
  elementCount,
  f16,
  f32,
  formatSpec,
  i32,
  isShape,
  sameShape,
  sameSpec,
  spec,
  u32,
  type Shape,
  type TensorSpec,
} from './spec.ts';
export { allocateStates, filled, type States } from './states.ts';
export type { WeightEntry, WeightSource } from './weight-source.ts';
