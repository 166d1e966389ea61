import type { JSX } from 'preact';
import type { SamplingOptions } from 'rwkv-js';
import type { Format } from '../conversation/conversation.ts';
import { change, officialSampling, settings } from './settings.ts';
import { facts, format } from './store.ts';

interface Setting {
  readonly name: keyof SamplingOptions;
  readonly label: string;
  readonly says: string;
  readonly least: number;
  readonly most: number;
  readonly step: number;
}

const sampling: readonly Setting[] = [
  {
    name: 'temperature',
    label: 'Temperature',
    says: '0 takes the likeliest token',
    least: 0,
    most: 3,
    step: 0.05,
  },
  {
    name: 'topP',
    label: 'Top p',
    says: 'share of probability to choose from',
    least: 0,
    most: 1,
    step: 0.01,
  },
  {
    name: 'topK',
    label: 'Top k',
    says: 'tokens to choose from, 0 for all',
    least: 0,
    most: 1000,
    step: 1,
  },
  {
    name: 'presencePenalty',
    label: 'Presence penalty',
    says: 'against what was written',
    least: -2,
    most: 2,
    step: 0.05,
  },
  {
    name: 'frequencyPenalty',
    label: 'Frequency penalty',
    says: 'against what was written often',
    least: -2,
    most: 2,
    step: 0.05,
  },
  {
    name: 'penaltyDecay',
    label: 'Penalty decay',
    says: 'how slowly penalties are forgotten',
    least: 0,
    most: 1,
    step: 0.001,
  },
];

const formats: readonly { value: Format; label: string }[] = [
  { value: 'text', label: 'Plain text' },
  { value: 'world', label: 'Chat (World)' },
  { value: 'g1', label: 'Chat with thinking (G1)' },
];

/** How text is given to the model, and how the next token is chosen. */
export function SamplingSection(): JSX.Element {
  const { sampling: own, maxTokens, seed, thinking } = settings.value;
  const recommended = facts.value?.recommended ?? {};
  const changed = Object.keys(own).length > 0;
  return (
    <section class="panel-section">
      <h2>Writing</h2>
      <label class="setting">
        <span>Format</span>
        <select
          value={format.value}
          onChange={({ currentTarget }) => {
            const chosen = formats.find(({ value }) => value === currentTarget.value);
            if (chosen) format.value = chosen.value;
          }}
        >
          {formats.map(({ value, label }) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      {format.value === 'g1' && (
        <label class="setting">
          <span>Thinks before it answers</span>
          <input
            type="checkbox"
            checked={thinking === 'on'}
            onChange={({ currentTarget }) =>
              change({ thinking: currentTarget.checked ? 'on' : 'off' })
            }
          />
        </label>
      )}
      <NumberSetting
        setting={{
          label: 'Most tokens',
          says: 'to write at once',
          least: 1,
          most: 100_000,
          step: 1,
        }}
        value={maxTokens}
        onValue={(value) => change({ maxTokens: value })}
      />
      {sampling.map((setting) => {
        const { name } = setting;
        return (
          <NumberSetting
            key={name}
            setting={setting}
            value={own[name] ?? recommended[name] ?? officialSampling[name]}
            onValue={(value) => change({ sampling: { ...own, [name]: value } })}
          />
        );
      })}
      <label class="setting">
        <span>
          Seed <small>empty draws anew each time</small>
        </span>
        <input
          type="number"
          min={0}
          max={2 ** 32 - 1}
          step={1}
          value={seed ?? ''}
          onChange={({ currentTarget }) => {
            const { valueAsNumber, validity } = currentTarget;
            change({ seed: validity.valid && currentTarget.value ? valueAsNumber : undefined });
          }}
        />
      </label>
      <button
        type="button"
        class="button plain small"
        disabled={!changed}
        onClick={() => change({ sampling: {} })}
      >
        {Object.keys(recommended).length > 0
          ? 'Reset to what is recommended'
          : 'Reset to the official defaults'}
      </button>
    </section>
  );
}

function NumberSetting({
  setting: { label, says, least, most, step },
  value,
  onValue,
}: {
  readonly setting: Omit<Setting, 'name'>;
  readonly value: number;
  onValue(value: number): void;
}): JSX.Element {
  return (
    <label class="setting">
      <span>
        {label} <small>{says}</small>
      </span>
      <input
        type="number"
        min={least}
        max={most}
        step={step}
        value={value}
        onChange={({ currentTarget }) => {
          // What is out of range is not taken, and the field shows what holds.
          if (currentTarget.validity.valid && currentTarget.value !== '') {
            onValue(currentTarget.valueAsNumber);
          } else currentTarget.value = String(value);
        }}
      />
    </label>
  );
}
