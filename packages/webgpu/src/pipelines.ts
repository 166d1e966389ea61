import { DeviceError } from '@rwkv-js/tensor';
import type { Shader } from './shader.ts';

/** A shader that is ready to run, and the layout of its bindings. */
export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** The pipelines of a device, one for each text; they are compiled side by side. */
export class Pipelines {
  readonly #gpu: GPUDevice;
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #compiled = new Map<string, Promise<Pipeline>>();
  readonly #ready = new Map<string, Pipeline>();

  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
  }

  /**
   * @param label what errors call it
   * @throws DeviceError with line and source of what the driver refuses.
   */
  get(shader: Shader, label: string): Promise<Pipeline> {
    const known = this.#compiled.get(shader.code);
    if (known) return known;
    const compiled = this.#compile(shader, label);
    this.#compiled.set(shader.code, compiled);
    return compiled;
  }

  /** The same at once, for what is queued without waiting; errors are the device's. */
  now({ code, access }: Shader, label: string): Pipeline {
    const known = this.#ready.get(code);
    if (known) return known;
    const layout = this.#layout(access);
    const pipeline = this.#gpu.createComputePipeline({
      label,
      layout: this.#gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: this.#gpu.createShaderModule({ code, label }), entryPoint: 'main' },
    });
    const ready = { pipeline, layout };
    this.#ready.set(code, ready);
    return ready;
  }

  async #compile({ code, access }: Shader, label: string): Promise<Pipeline> {
    const layout = this.#layout(access);
    this.#gpu.pushErrorScope('validation');
    const module = this.#gpu.createShaderModule({ code, label });
    const scope = this.#gpu.popErrorScope();
    const [info, refusal] = await Promise.all([module.getCompilationInfo(), scope]);
    const error = info.messages.find(({ type }) => type === 'error');
    if (error) {
      const source = code.split('\n')[error.lineNum - 1]?.trim() ?? '';
      throw new DeviceError(
        `kernel ${label} does not compile on this device: line ${error.lineNum}, '${source}': ` +
          `${error.message}; report it with the adapter's name`,
      );
    }
    if (refusal) throw new DeviceError(`kernel ${label} is refused: ${refusal.message}`);
    try {
      const pipeline = await this.#gpu.createComputePipelineAsync({
        label,
        layout: this.#gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main' },
      });
      return { pipeline, layout };
    } catch (cause) {
      throw new DeviceError(
        `kernel ${label} cannot be made ready on this device: ${messageOf(cause)}`,
        { cause },
      );
    }
  }

  #layout(access: Shader['access']): GPUBindGroupLayout {
    const key = access.join();
    const known = this.#layouts.get(key);
    if (known) return known;
    const layout = this.#gpu.createBindGroupLayout({
      entries: access.map((one, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: one === 'read' ? 'read-only-storage' : 'storage' },
      })),
    });
    this.#layouts.set(key, layout);
    return layout;
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
