/// <reference types="@webgpu/types" />
import { DeviceError } from '@rwkv-js/tensor';
import { WebGpuDevice } from './device.ts';
import { matrixSide, subgroupThreads } from './kernels/subgroup-matrix-product.wgsl.ts';
import { platformGpu } from './instance.ts';
import type { Capabilities } from './kernel.ts';
import { checkKnownAnswer } from './known-answer.ts';

export interface WebGpuOptions {
  /** Keeps times of every kernel; `profileReport` tells them. Slower, and needs timestamps. */
  readonly profile?: boolean;
  /**
   * Dispatches after which work is handed to the adapter, so that a page's compositor gets its turn
   * within a long step. A run at a time where it is not given, but in parts to an adapter that waits.
   */
  readonly submitEvery?: number;
  /** Flags of Dawn, in Node alone: `backend=null` only checks, `adapter=…` chooses by name. */
  readonly dawn?: readonly string[];
}

/** Limits that are asked for as large as the adapter has them. */
const wantedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
] as const;

/**
 * Opens the WebGPU device, in a page, a worker, or Node (with the package `webgpu` installed).
 *
 * A small program with known results runs first, so that a driver that computes garbage shows here.
 *
 * @throws DeviceError where there is no WebGPU, no adapter, or one that computes garbage.
 */
export function openWebGpu(options: WebGpuOptions = {}): Promise<WebGpuDevice> {
  return openRestricted(options, {});
}

/** The same as on an adapter that offers less, for tests: `restricted` are abilities that kernels may count on. */
export async function openRestricted(
  options: WebGpuOptions,
  restricted: Partial<Capabilities>,
): Promise<WebGpuDevice> {
  const gpu = await platformGpu(options.dawn ?? []);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) {
    throw new DeviceError(
      'device webgpu cannot be opened: the platform offers no adapter; ' +
        'install a graphics driver with Vulkan, Metal or Direct3D 12, or use another device',
    );
  }
  const onlyNull = options.dawn?.includes('backend=null') ?? false;
  const subgroupMatrices = restricted.subgroupMatrices ?? hasSubgroupMatrices(adapter.info);
  const features = [
    'subgroups',
    ...(options.profile ? ['timestamp-query'] : []),
    // The null backend compiles shaders for adapters that it is not.
    ...(subgroupMatrices || onlyNull ? matrixFeatures : []),
  ].filter((feature) => adapter.features.has(feature)) as GPUFeatureName[];
  if (options.profile && !features.includes('timestamp-query')) {
    throw new DeviceError('device webgpu cannot keep times: the adapter has no timestamps');
  }
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice({
      requiredFeatures: features,
      requiredLimits: Object.fromEntries(wantedLimits.map((name) => [name, adapter.limits[name]])),
    });
  } catch (cause) {
    throw new DeviceError(`device webgpu cannot be opened: ${String(cause)}`, { cause });
  }
  const { limits } = device;
  const subgroups = features.includes('subgroups');
  const capabilities: Capabilities = {
    subgroups,
    narrowestSubgroup: subgroups ? (adapter.info.subgroupMinSize ?? 4) : 0,
    integerDot: gpu.wgslLanguageFeatures.has('packed_4x8_integer_dot_product'),
    threads: Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
    workgroupMemory: limits.maxComputeWorkgroupStorageSize,
    bindings: limits.maxStorageBuffersPerShaderStage,
    largestBinding: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
    ...restricted,
    subgroupMatrices: subgroupMatrices && matrixFeatures.every((one) => device.features.has(one)),
  };
  const opened = new WebGpuDevice({
    gpu: device,
    description: describe(adapter.info, capabilities),
    capabilities,
    submitEvery: options.submitEvery ?? Infinity,
    profile: options.profile ?? false,
  });
  if (onlyNull) return opened;
  try {
    await checkKnownAnswer(opened);
  } catch (error) {
    await opened.dispose();
    if (!capabilities.subgroupMatrices) throw error;
    // Matrices of subgroups are no standard yet, and an adapter that fails with them does well without.
    return openRestricted(options, { ...restricted, subgroupMatrices: false });
  }
  await opened.profile?.reset();
  return opened;
}

/** What matrices of subgroups take of a device. */
const matrixFeatures = ['shader-f16', 'chromium-experimental-subgroup-matrix'];

/** What an adapter's matrix units take; known to Dawn, and to no standard yet. */
interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** True for an adapter with matrices as kernels use them, in subgroups of the one size that they count on. */
function hasSubgroupMatrices(info: GPUAdapterInfo): boolean {
  const configs =
    (info as { subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig> }).subgroupMatrixConfigs ??
    [];
  const { subgroupMinSize, subgroupMaxSize } = info;
  return (
    subgroupMinSize === subgroupThreads &&
    subgroupMaxSize === subgroupThreads &&
    [...configs].some(
      ({ componentType, resultComponentType, M, N, K }) =>
        componentType === 'f16' &&
        resultComponentType === 'f32' &&
        [M, N, K].every((one) => one === matrixSide),
    )
  );
}

function describe(
  info: GPUAdapterInfo,
  { subgroups, subgroupMatrices, largestBinding }: Capabilities,
): string {
  const { vendor, architecture, device, description } = info;
  const without = hasSubgroupMatrices(info) ? ' without their matrices' : '';
  const matrices = subgroupMatrices ? ' with their matrices' : without;
  const name = [description || device || vendor || 'an adapter', architecture]
    .filter((part) => part !== '')
    .join(', ');
  return `${name}; ${subgroups ? 'subgroups' : 'no subgroups'}${matrices}, bindings of ${Math.floor(largestBinding / 2 ** 20)} MiB`;
}
