import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { DeviceSection } from './device-section.tsx';
import { IconButton } from './icons.tsx';
import { MeterSection } from './meter-section.tsx';
import { SamplingSection } from './sampling-section.tsx';

interface PanelProps {
  readonly open: boolean;
  /** Whether there is room for it beside the text. */
  readonly wide: MediaQueryList;
  onClose(): void;
}

/** Meter, device and sampling: beside the text, or over it on a narrow screen. */
export function Panel({ open, wide, onClose }: PanelProps): JSX.Element {
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    if (open && !wide.matches) panel.current?.focus();
  }, [open, wide]);
  return (
    <aside
      id="panel"
      class="panel"
      ref={panel}
      tabIndex={-1}
      hidden={!open}
      aria-label="Meter, device and sampling"
      onKeyDown={({ key }) => {
        if (key === 'Escape') onClose();
      }}
    >
      <div class="panel-head">
        <IconButton icon="close" label="Close the panel" onClick={onClose} />
      </div>
      {open && (
        <>
          <MeterSection />
          <DeviceSection />
          <SamplingSection />
        </>
      )}
    </aside>
  );
}
