import { setImmediate } from 'node:timers/promises';
import { learningRate, UsageError, type Trainer } from 'rwkv-js';
import { evaluate, mean } from './evaluate.ts';
import { batch, groupOf, schedule, type Point, type Settings } from './settings.ts';
import { randomWords } from './words.ts';

// Random numbers have streams: those below are of the weights' tensors, then come words to learn from,
// a batch each, and then words that are never learned from.
const learned = 2 ** 16;
const unseen = 2 ** 31;

/**
 * Trains until the last step of the settings, from wherever the trainer is; gives a point of the learning
 * curve about fifty times. It can be left after any point, and when `signal` is aborted it ends.
 */
export async function* train(
  trainer: Trainer,
  settings: Settings,
  signal: AbortSignal,
): AsyncGenerator<Point> {
  const group = groupOf(settings);
  const every = Math.max(1, Math.round(settings.steps / 50));
  const { seed } = settings;
  const examination = randomWords(group, { seed, batch: unseen, count: 50, length: batch.length });
  while (trainer.step < settings.steps && !signal.aborted) {
    const step = trainer.step + 1;
    const words = randomWords(group, { seed, batch: learned + step, ...batch });
    const { loss: lossOfBatch } = await trainer.trainStep(
      [words],
      learningRate(step, schedule(settings)),
    );
    if (!Number.isFinite(lossOfBatch)) {
      throw new UsageError(
        `training came to a loss of ${lossOfBatch} at step ${step} and was left; nothing was saved, ` +
          'try another seed',
      );
    }
    if (step % every === 0 || step === settings.steps) {
      const { loss, byPosition } = await evaluate(trainer, examination);
      yield { step, loss, accuracy: mean(byPosition) };
    }
    // Ctrl-C is heard only when the loop is let go of.
    await setImmediate();
  }
}

/** Accuracy by position on new words, four times as long as those that were learned from. */
export async function examine(trainer: Trainer, settings: Settings): Promise<readonly number[]> {
  const group = groupOf(settings);
  const { seed } = settings;
  const scores: (readonly number[])[] = [];
  for (let part = 1; part <= 4; part++) {
    const words = { seed, batch: unseen + part, count: 50, length: 4 * batch.length };
    scores.push((await evaluate(trainer, randomWords(group, words))).byPosition);
    await setImmediate();
  }
  return scores[0]!.map((_, at) => mean(scores.map((score) => score[at]!)));
}
