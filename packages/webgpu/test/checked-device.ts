import type { CompileOptions, Executable, Program } from '@rwkv-js/tensor';
import { WebGpuDevice, type WebGpuParts } from '../src/device.ts';
import type { Capabilities } from '../src/index.ts';
import { Pipelines } from '../src/pipelines.ts';
import { openForTests } from './adapter.ts';
import {
  checkedShader,
  mostKept,
  violationWords,
  withGarbage,
  type Site,
} from './checked-shader.ts';

/** A device whose shaders tell of indexes past the ends of arrays, and find garbage in work group memory. */
export interface CheckedDevice {
  readonly device: WebGpuDevice;
  /** The same on an adapter that offers less. Texts that both have are compiled once. */
  restricted(capabilities: Partial<Capabilities>): WebGpuDevice;
  /** The places where indexes were past an end since this was asked last. */
  violations(): Promise<readonly string[]>;
}

/** A device that takes NaN for a result as any other, and shares pipelines. */
class Checked extends WebGpuDevice {
  override readonly pipelines: Pipelines;

  constructor(parts: WebGpuParts, pipelines: Pipelines) {
    super(parts);
    this.pipelines = pipelines;
  }

  override compile(program: Program, options?: CompileOptions): Promise<Executable> {
    return super.compile(program, { ...options, debug: false });
  }
}

/** Opens it on the adapter of {@link openForTests}; undefined where there is none. */
export async function openChecked(): Promise<CheckedDevice | undefined> {
  const opened = await openForTests();
  if (!opened) return undefined;
  const { gpu, capabilities, info } = opened;
  const sites: (Site & { readonly kernel: string })[] = [];
  const buffer = gpu.createBuffer({
    size: 4 * violationWords,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  watch(gpu, buffer, (code, kernel) =>
    withGarbage(checkedShader(code, (site) => sites.push({ ...site, kernel }) - 1)),
  );
  const pipelines = new Pipelines(gpu);
  const { description } = info;
  const parts = { gpu, description, capabilities, submitEvery: Infinity, profile: false };
  const device = new Checked(parts, pipelines);
  return {
    device,
    restricted: (less) =>
      new Checked({ ...parts, capabilities: { ...capabilities, ...less } }, pipelines),
    async violations() {
      const [bytes] = await device.readBytes([
        { buffer, byteOffset: 0, byteLength: 4 * violationWords },
      ]);
      const words = new Uint32Array(bytes!.buffer, bytes!.byteOffset, violationWords);
      gpu.queue.writeBuffer(buffer, 0, new Uint32Array(violationWords));
      const found = new Map<number, string>();
      for (let i = 0; i < Math.min(words[0]!, mostKept); i++) {
        const [site, place] = [words[1 + 2 * i]!, words[2 + 2 * i]!];
        const { kernel, array, index, count } = sites[site]!;
        found.set(site, `${kernel}: ${array}[${index}] at ${place} of ${count}`);
      }
      return [...found.values()];
    },
  };
}

/** Has every shader of a device rewritten, and a buffer bound that they write what they find to. */
function watch(
  gpu: GPUDevice,
  buffer: GPUBuffer,
  rewritten: (code: string, label: string) => string,
): void {
  const layout = gpu.createBindGroupLayout({
    entries: [{ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'storage' } }],
  });
  const group = gpu.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer } }] });

  const createShaderModule = gpu.createShaderModule.bind(gpu);
  gpu.createShaderModule = (descriptor) =>
    createShaderModule({
      ...descriptor,
      code: rewritten(descriptor.code, descriptor.label ?? 'a shader'),
    });
  const createPipelineLayout = gpu.createPipelineLayout.bind(gpu);
  gpu.createPipelineLayout = (descriptor) =>
    createPipelineLayout({ bindGroupLayouts: [...descriptor.bindGroupLayouts, layout] });
  const createCommandEncoder = gpu.createCommandEncoder.bind(gpu);
  gpu.createCommandEncoder = (...all) => {
    const encoder = createCommandEncoder(...all);
    const beginComputePass = encoder.beginComputePass.bind(encoder);
    encoder.beginComputePass = (descriptor) => {
      const pass = beginComputePass(descriptor);
      pass.setBindGroup(1, group);
      return pass;
    };
    return encoder;
  };
}
