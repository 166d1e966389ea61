import type { WeightEntry, WeightSource } from '@rwkv-js/tensor';

/** A source with further f32 vectors, which a model's programs need besides what the file has. */
export function withTensors(
  source: WeightSource,
  vectors: Readonly<Record<string, Float32Array>>,
): WeightSource {
  const extra = Object.entries(vectors).map(([name, data]): [string, WeightEntry] => [
    name,
    { dtype: 'f32', shape: [data.length] },
  ]);
  return {
    label: source.label,
    metadata: source.metadata,
    tensors: new Map([...source.tensors, ...extra]),
    async read(name, options) {
      const own = vectors[name];
      if (!own) return source.read(name, options);
      return new Uint8Array(own.slice().buffer);
    },
    close: () => source.close(),
  };
}
