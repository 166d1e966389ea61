import { Presets, SingleBar } from 'cli-progress';
import type { Output } from './io.ts';

/** A bar on a terminal; nothing elsewhere. Leaving it by `using` takes it away. */
export interface Progress extends Disposable {
  /** @param total undefined while it is not known: then nothing is drawn yet */
  update(done: number, total: number | undefined): void;
}

/** Work that is done sooner than this shows no bar. */
const patience = 500;

/**
 * @param output where to draw; only a terminal is drawn on
 * @param doing what is going on, such as `Loading`
 * @param unit what is counted, such as `tokens`
 * @param scale how many of what `update` counts make one unit
 */
export function showProgress(
  output: Output,
  { doing, unit, scale = 1 }: { doing: string; unit: string; scale?: number },
): Progress {
  if (!output.isTTY) return { update() {}, [Symbol.dispose]() {} };
  const begun = performance.now();
  const bar = new SingleBar(
    {
      stream: output,
      format: `${doing} [{bar}] {percentage}% | {value}/{total} ${unit} | {eta_formatted} left`,
      formatValue: (value, _, type) =>
        type === 'value' || type === 'total'
          ? (value / scale).toFixed(scale > 1 ? 1 : 0)
          : `${value}`,
      clearOnComplete: true,
      barsize: 24,
    },
    Presets.legacy,
  );
  return {
    update(done, total) {
      if (total === undefined) return;
      if (bar.isActive) bar.update(done);
      else if (performance.now() - begun > patience) bar.start(total, done);
    },
    [Symbol.dispose]: () => bar.stop(),
  };
}
