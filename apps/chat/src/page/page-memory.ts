import { signal } from '@preact/signals';

/** What the browser measures, which waits for its next collection of garbage: up to a minute. */
interface MeasuringPerformance {
  measureUserAgentSpecificMemory?(): Promise<{ readonly bytes: number }>;
}

/** Bytes of the whole page with its workers, as the browser measured them last; Chromium does, in isolated pages. */
export const pageBytes = signal<number | undefined>(undefined);

let measuring = false;

/** Has it measured again, unless that is under way. */
export function measurePage(): void {
  const clock = performance as MeasuringPerformance;
  if (measuring || !crossOriginIsolated || !clock.measureUserAgentSpecificMemory) return;
  measuring = true;
  clock
    .measureUserAgentSpecificMemory()
    .then(
      ({ bytes }) => (pageBytes.value = bytes),
      () => {},
    )
    .finally(() => (measuring = false));
}
