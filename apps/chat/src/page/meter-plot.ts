import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Sample } from './meter.ts';

/** Pixels. */
const height = 150;

/** Milliseconds between two drawings. */
const pace = 200;

/** The plot of the meter: time and memory over the length of the text, each with its axis from zero. */
export class MeterPlot {
  readonly #place: HTMLElement;
  readonly #dark = matchMedia('(prefers-color-scheme: dark)');
  readonly #watch: ResizeObserver;
  #plot: UPlot;
  #samples: readonly Sample[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(place: HTMLElement) {
    this.#place = place;
    this.#plot = this.#make();
    this.#watch = new ResizeObserver(() => {
      const width = place.clientWidth;
      if (width > 0 && width !== this.#plot.width) this.#plot.setSize({ width, height });
    });
    this.#watch.observe(place);
    this.#dark.addEventListener('change', this.#remake);
  }

  show(samples: readonly Sample[]): void {
    const first = this.#samples.length === 0;
    this.#samples = samples;
    if (first) this.#plot.setData(columnsOf(samples));
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#plot.setData(columnsOf(this.#samples));
    }, pace);
  }

  destroy(): void {
    clearTimeout(this.#timer);
    this.#watch.disconnect();
    this.#dark.removeEventListener('change', this.#remake);
    this.#plot.destroy();
  }

  readonly #remake = (): void => {
    this.#plot.destroy();
    this.#plot = this.#make();
  };

  #make(): UPlot {
    const style = getComputedStyle(this.#place);
    const color = (name: string): string => style.getPropertyValue(name).trim();
    const axis = {
      stroke: color('--soft'),
      font: '11px system-ui',
      grid: { stroke: color('--line'), width: 1 },
      ticks: { show: false },
    };
    const fromZero: UPlot.Scale.Range = (_, __, most) => [0, (most || 1) * 1.25];
    return new UPlot(
      {
        width: this.#place.clientWidth || 280,
        height,
        padding: [8, 0, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { time: false, range: (_, __, most) => [0, most || 1] },
          ms: { range: fromZero },
          mb: { range: fromZero },
        },
        axes: [
          { ...axis, size: 24, grid: { show: false } },
          { ...axis, scale: 'ms', size: 36, stroke: color('--time') },
          {
            ...axis,
            scale: 'mb',
            size: 40,
            side: 1,
            grid: { show: false },
            stroke: color('--memory'),
          },
        ],
        series: [
          {},
          { scale: 'ms', stroke: color('--time'), width: 2, points: { show: isShort } },
          { scale: 'mb', stroke: color('--memory'), width: 2, points: { show: isShort } },
          {
            scale: 'mb',
            stroke: color('--memory'),
            width: 1,
            dash: [3, 3],
            points: { show: false },
          },
        ],
      },
      columnsOf(this.#samples),
      this.#place,
    );
  }
}

/** A line of one or two points is no line yet. */
const isShort = (plot: UPlot): boolean => (plot.data[0]?.length ?? 0) < 3;

/** Samples on either side of one that its median is taken over. */
const reach = 4;

/** What is usual at each place: another program that takes the processor for a moment does not show. */
function runningMedian(values: readonly number[]): number[] {
  return values.map((_, at) => {
    const near = values.slice(Math.max(0, at - reach), at + reach + 1).sort((a, b) => a - b);
    return near[near.length >> 1]!;
  });
}

function columnsOf(samples: readonly Sample[]): UPlot.AlignedData {
  return [
    samples.map(({ position }) => position),
    runningMedian(samples.map(({ millisecondsPerToken }) => millisecondsPerToken)),
    samples.map(({ deviceMegabytes }) => deviceMegabytes),
    samples.map(({ pageMegabytes }) => pageMegabytes ?? null),
  ];
}
