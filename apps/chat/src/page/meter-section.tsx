import { useSignalEffect } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { samples } from './meter.ts';
import { MeterPlot } from './meter-plot.ts';

/** What a token costs as the text grows: always the same, in time and in memory. */
export function MeterSection(): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<MeterPlot>(undefined);
  useEffect(() => {
    if (place.current) plot.current = new MeterPlot(place.current);
    return () => plot.current?.destroy();
  }, []);
  useSignalEffect(() => plot.current?.show(samples.value));
  const last = samples.value.at(-1);
  return (
    <section class="panel-section">
      <h2>Meter</h2>
      <p class="figures-row">
        <Figure
          value={last && `${last.millisecondsPerToken.toFixed(1)} ms`}
          what="a token"
          kind="time"
        />
        <Figure value={last && `${Math.round(last.megabytes)} MB`} what="memory" kind="memory" />
        <Figure value={last && last.position.toLocaleString()} what="tokens read" kind="count" />
      </p>
      <div
        class="plot"
        ref={place}
        role="img"
        aria-label={
          last
            ? `Plot over ${last.position} tokens: ${last.millisecondsPerToken.toFixed(1)} milliseconds a token, ${Math.round(last.megabytes)} megabytes of memory`
            : 'Plot of milliseconds a token and memory, empty until something is written'
        }
      />
      <p class="hint">
        RWKV keeps a state of constant size: the thousandth token costs what the first did.
      </p>
    </section>
  );
}

function Figure({
  value,
  what,
  kind,
}: {
  readonly value: string | undefined;
  readonly what: string;
  readonly kind: string;
}): JSX.Element {
  return (
    <span class={`figure ${kind}`}>
      <strong>{value ?? '–'}</strong> {what}
    </span>
  );
}
