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
  type PlainDType,
} from './dtype.ts';
export { DeviceError, FormatError, ShapeError, UsageError } from './errors.ts';
export {
  bf16,
  byteLength,
  elementCount,
  f16,
  f32,
  formatSpec,
  i32,
  sameShape,
  sameSpec,
  spec,
  u32,
  type Shape,
  type TensorSpec,
} from './spec.ts';
export type { WeightEntry, WeightSource } from './weight-source.ts';
