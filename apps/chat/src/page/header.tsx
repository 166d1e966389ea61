import type { JSX } from 'preact';
import { Icon, IconButton } from './icons.tsx';
import { speed } from './meter.ts';
import { conversation, facts, model, movingTo, startAnew } from './store.ts';

interface HeaderProps {
  readonly panelOpen: boolean;
  readonly choosing: boolean;
  onPanel(): void;
  onChoose(): void;
}

/** What runs here, and the ways to change it. */
export function Header({ panelOpen, choosing, onPanel, onChoose }: HeaderProps): JSX.Element {
  const now = facts.value;
  const hasText = conversation.value.messages.size > 0;
  return (
    <header class="header">
      <h1 class="brand">
        <img src="./icon.svg" alt="" width="28" height="28" />
        <span class="brand-name">rwkv</span>
      </h1>
      {(now || hasText) && (
        <button
          type="button"
          class="chip"
          aria-expanded={choosing}
          disabled={model.value.status === 'loading'}
          onClick={onChoose}
          title="Choose another model"
        >
          <span class="chip-name">{now?.name ?? 'Choose a model'}</span>
        </button>
      )}
      <span class="header-space" />
      {now && (
        <button
          type="button"
          class="chip quiet"
          aria-expanded={panelOpen}
          aria-controls="panel"
          onClick={onPanel}
          title="Meter, device and sampling"
        >
          <Icon name="chip" />
          <span class="chip-device">
            {movingTo.value ? 'changing …' : deviceWord(now.device.name)}
          </span>
          {speed.value && <span class="speed">{speed.value}</span>}
        </button>
      )}
      {hasText && (
        <IconButton
          icon="anew"
          label="Begin anew"
          onClick={() => confirmed() && void startAnew()}
        />
      )}
    </header>
  );
}

const confirmed = (): boolean =>
  confirm('Begin anew? The conversation is deleted from this browser.');

/** Devices as people call them. */
export function deviceWord(name: string): string {
  return { webgpu: 'WebGPU', wasm: 'WebAssembly', cpu: 'reference' }[name] ?? name;
}
