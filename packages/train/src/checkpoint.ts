import { writeSafetensors, type FileSink } from '@rwkv-js/weights';
import type { Trainer } from './trainer.ts';

/**
 * Saves all that training goes on from: weights, the optimizer's moments and the step, as a safetensors
 * file that is also a model's file. A path appears only when the file is whole. To go on, give
 * `Trainer.create` the file, opened with `openWeights`: it continues with the same bits.
 *
 * @param notes what the caller needs to go on, such as a seed; it comes back as `metadata`
 * @throws UsageError when the path cannot be written, or gradients wait to be applied.
 */
export async function saveCheckpoint(
  target: string | FileSink,
  trainer: Trainer,
  notes: ReadonlyMap<string, string> = new Map(),
): Promise<void> {
  const source = trainer.weights({ withMoments: true });
  const tensors = [...source.tensors].map(([name, entry]) => ({ name, ...entry }));
  const metadata = new Map([...notes, ...source.metadata]);
  await using writer = await writeSafetensors(target, tensors, { metadata });
  for (const { name } of tensors) await writer.write(name, await source.read(name));
  await writer.close();
}
