import { useSignalEffect } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { bytesText } from './format-numbers.ts';
import { MeterPlot } from './meter-plot.ts';
import { samples } from './meter.ts';
import { pageBytes } from './page-memory.ts';

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
  const time = last && `${last.millisecondsPerToken.toFixed(1)} ms`;
  const memory = last && `${last.deviceMegabytes.toFixed(1)} MB`;
  const says = last
    ? `Plot over ${last.position} tokens: ${time} a token, ${memory} of memory`
    : 'Plot of milliseconds a token and of memory, empty until something is written';
  return (
    <section class="panel-section">
      <h2>Meter</h2>
      <p class="figures-row">
        <Figure value={time} what="a token" kind="time" />
        <Figure value={memory} what="memory" kind="memory" />
        <Figure value={last?.position.toLocaleString()} what="tokens" kind="count" />
      </p>
      <div class={`plot${last ? '' : ' empty'}`} ref={place} role="img" aria-label={says} />
      <p class="hint">
        RWKV keeps a state of constant size: the thousandth token costs what the first did. The line
        of time is a running median.
        {pageBytes.value !== undefined &&
          ` The browser measures ${bytesText(pageBytes.value)} for the whole page, all threads (dashed).`}
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
