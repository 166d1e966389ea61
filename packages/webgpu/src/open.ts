/// <reference types="@webgpu/types" />
import { DeviceError } from '@rwkv-js/tensor';
import { WebGpuDevice } from './device.ts';
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
  const features = (['subgroups', 'timestamp-query'] as const).filter(
    (feature) =>
      adapter.features.has(feature) && (feature !== 'timestamp-query' || options.profile),
  );
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
  };
  const opened = new WebGpuDevice({
    gpu: device,
    description: describe(adapter.info, capabilities),
    capabilities,
    submitEvery: options.submitEvery ?? Infinity,
    profile: options.profile ?? false,
  });
  // The null backend runs nothing.
  if (options.dawn?.includes('backend=null')) return opened;
  try {
    await checkKnownAnswer(opened);
  } catch (error) {
    await opened.dispose();
    throw error;
  }
  await opened.profile?.reset();
  return opened;
}

function describe(
  { vendor, architecture, device, description }: GPUAdapterInfo,
  { subgroups, largestBinding }: Capabilities,
): string {
  const name = [description || device || vendor || 'an adapter', architecture]
    .filter((part) => part !== '')
    .join(', ');
  return `${name}; ${subgroups ? 'subgroups' : 'no subgroups'}, bindings of ${Math.floor(largestBinding / 2 ** 20)} MiB`;
}
