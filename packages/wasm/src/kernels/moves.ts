import { bytesFor, elementCount, isPacked } from '@rwkv-js/tensor';
import type { Launcher } from '../kernels.ts';
import { rowDType } from './linear.ts';

const concat: Launcher = ({ inputs, outputs, attributes }) => {
  const { axis } = attributes as { axis: number };
  const { dtype, shape } = outputs[0]!;
  if (isPacked(dtype)) return undefined;
  const bytes = inputs.map((part) => bytesFor(dtype, elementCount(part.shape.slice(axis))));
  return {
    kernel: 'moveRuns',
    scalars: [
      elementCount(shape.slice(0, axis)),
      bytes.reduce((sum, size) => sum + size, 0),
      inputs.length,
      ...bytes.flatMap((size) => [size, size, 0]),
    ],
  };
};

const slice: Launcher = ({ inputs, outputs, attributes }) => {
  const { axis, start } = attributes as { axis: number; start: number };
  const { dtype, shape } = outputs[0]!;
  if (isPacked(dtype)) return undefined;
  const bytes = bytesFor(dtype, elementCount(shape.slice(axis)));
  const stride = bytesFor(dtype, elementCount(inputs[0]!.shape.slice(axis)));
  const first = bytesFor(dtype, start * elementCount(shape.slice(axis + 1)));
  return {
    kernel: 'moveRuns',
    scalars: [elementCount(shape.slice(0, axis)), bytes, 1, bytes, stride, first],
  };
};

const gatherRows: Launcher = ({ inputs: [table, indexes] }) => {
  const dtype = rowDType(table!);
  if (dtype === undefined || indexes!.dtype !== 'i32') return undefined;
  const [rows, width] = table!.shape as [number, number];
  return { kernel: 'gatherRows', scalars: [indexes!.shape[0]!, width, dtype, rows] };
};

export const launchMove: Readonly<Record<string, Launcher>> = { concat, slice, gatherRows };
