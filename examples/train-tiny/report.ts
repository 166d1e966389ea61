import { plot } from 'simple-ascii-chart';
import { mean } from './evaluate.ts';
import { batch, type Point, type Settings } from './settings.ts';

const percent = (share: number): string => `${(100 * share).toFixed(share < 0.9995 ? 1 : 0)} %`;

/** One line of progress. */
export function formatPoint({ step, loss, accuracy }: Point, { steps }: Settings): string {
  const place = `${String(step).padStart(String(steps).length)} of ${steps}`;
  return `step ${place}   loss ${loss.toFixed(4)}   accuracy ${percent(accuracy).padStart(6)}\n`;
}

/** The learning curve, for a terminal. */
export function formatCurve(curve: readonly Point[], { steps }: Settings): string {
  const points = curve.map(({ step, accuracy }): [number, number] => [step, 100 * accuracy]);
  const ticks = [0, 1, 2, 3, 4].map((quarter) => Math.round((quarter * steps) / 4));
  const chart = plot([[0, 0], ...points, [steps, points.at(-1)?.[1] ?? 0]], {
    width: 64,
    height: 12,
    yRange: [0, 100],
    customXAxisTicks: ticks,
    customYAxisTicks: [0, 25, 50, 75, 100],
    title: 'accuracy in %, by step',
    formatter: (value) => String(Math.round(value)),
  });
  return `${chart}\n`;
}

/** Accuracy by ranges of positions; those that no word of the training reached are named so. */
export function formatExamination(byPosition: readonly number[]): string {
  const quarter = batch.length / 4;
  const ends = [1, 2, 3, 4, 6, 8, 12, 16].map((quarters) => quarters * quarter);
  const lines = ends.map((end, i) => {
    const start = ends[i - 1] ?? 0;
    const range = `${start + 1} to ${end}`.padStart(8);
    const beyond = end > batch.length ? '   longer than any it was trained on' : '';
    return `positions ${range}   accuracy ${percent(mean(byPosition.slice(start, end))).padStart(6)}${beyond}`;
  });
  return `${lines.join('\n')}\n`;
}
