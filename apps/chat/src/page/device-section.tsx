import type { JSX } from 'preact';
import type { DeviceChoice } from '../engine/protocol.ts';
import { bytesText } from './format-numbers.ts';
import { deviceWord } from './header.tsx';
import { speed } from './meter.ts';
import { settings } from './settings.ts';
import { facts, found, movingTo, useDevice } from './store.ts';

const choices: readonly { value: DeviceChoice; label: string }[] = [
  { value: 'auto', label: 'Fastest' },
  { value: 'webgpu', label: 'WebGPU' },
  { value: 'wasm', label: 'WebAssembly' },
];

/** What the model runs on, and what would make it faster. */
export function DeviceSection(): JSX.Element {
  const now = facts.value;
  if (!now) return <></>;
  const { device } = now;
  return (
    <section class="panel-section">
      <h2>Device</h2>
      <fieldset class="segments" disabled={movingTo.value !== undefined}>
        <legend class="visually-hidden">Runs on</legend>
        {choices.map(({ value, label }) => (
          <label key={value}>
            <input
              type="radio"
              name="device"
              value={value}
              checked={settings.value.device === value}
              onChange={() => void useDevice(value)}
            />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
      <dl class="facts">
        <dt>Runs on</dt>
        <dd>{deviceWord(device.name)}</dd>
        <dt>That is</dt>
        <dd>{device.description}</dd>
        <dt>Model</dt>
        <dd>
          RWKV-{now.version}, {now.layers} layers of {now.width}, {now.dtype}
        </dd>
        <dt>Speed</dt>
        <dd>{speed.value ?? 'shows while it writes'}</dd>
        <dt>Weights</dt>
        <dd>{bytesText(now.parameterBytes)}</dd>
        <dt>States</dt>
        <dd>{bytesText(now.stateBytes)}, whatever the length</dd>
      </dl>
      {device.report && (
        <details class="report">
          <summary>Why this device</summary>
          <pre>{device.report}</pre>
        </details>
      )}
      <Help />
    </section>
  );
}

/** In plain words, what to do about what is missing. */
function Help(): JSX.Element {
  const abilities = found.value;
  if (!abilities) return <></>;
  return (
    <>
      {abilities.noWebGpu && (
        <p class="help">
          <strong>No WebGPU.</strong> {abilities.noWebGpu} Until then WebAssembly does the work.
        </p>
      )}
      {!abilities.isolated && (
        <p class="help">
          <strong>One thread.</strong> This page may not share memory between threads, so
          WebAssembly uses one of {abilities.processors}. Reload it once; if that does not help, its
          server has to send the headers <code>Cross-Origin-Opener-Policy: same-origin</code> and{' '}
          <code>Cross-Origin-Embedder-Policy: require-corp</code>.
        </p>
      )}
    </>
  );
}
