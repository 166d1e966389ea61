import type { Pipelines } from './pipelines.ts';

const threads = 256;

/**
 * What the adapter's memory gives: bytes a second that a copy reads and writes, the best of a few.
 *
 * @param bytes to copy; more than any cache holds
 */
export async function measureRoof(
  gpu: GPUDevice,
  pipelines: Pipelines,
  bytes = Math.min(2 ** 28, gpu.limits.maxStorageBufferBindingSize),
): Promise<number> {
  const [groups, repeats] = [4096, 8];
  const code = `@group(0) @binding(0) var<storage, read> source: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> goal: array<vec4u>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  for (var i = group.x * ${threads}u + thread; i < ${bytes / 16}u; i += ${groups * threads}u) { goal[i] = source[i]; }
}
`;
  const { pipeline, layout } = await pipelines.get(
    { code, access: ['read', 'read_write'] },
    'copy',
  );
  const [from, to] = [0, 1].map(() =>
    gpu.createBuffer({ size: bytes, usage: GPUBufferUsage.STORAGE }),
  );
  const bindings = gpu.createBindGroup({
    layout,
    entries: [from!, to!].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  let best = Infinity;
  for (let i = 0; i < 4; i++) {
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindings);
    for (let r = 0; r < repeats; r++) pass.dispatchWorkgroups(groups);
    pass.end();
    const started = performance.now();
    gpu.queue.submit([encoder.finish()]);
    await gpu.queue.onSubmittedWorkDone();
    best = Math.min(best, (performance.now() - started) / 1000);
  }
  from!.destroy();
  to!.destroy();
  return (2 * bytes * repeats) / best;
}
