import type { JSX } from 'preact';
import type { Format } from '../conversation/conversation.ts';
import { facts, format, ready, send } from './store.ts';

const beginnings: Readonly<Record<Format, readonly string[]>> = {
  text: [
    'Once upon a time, a little fox',
    'Tom and his dog went to the river.',
    'The old lighthouse had not been lit for years, until',
  ],
  world: [
    'What can I cook with rice, eggs and spinach?',
    'Explain tides to a ten-year-old.',
    'Write a short poem about rain on a tin roof.',
  ],
  g1: [
    'I have 3 boxes with 7 pens each and lose 4 pens. How many are left?',
    'What is heavier: a litre of water or a litre of ice?',
    'Plan a rainy day in a small town.',
  ],
};

/** What one may begin with. */
export function Suggestions({ branch }: { readonly branch: string }): JSX.Element {
  const text = format.value === 'text';
  return (
    <div class="suggestions">
      <h2>{text ? 'How does it begin?' : 'What would you like to know?'}</h2>
      <p class="lead">
        {text
          ? `Write the first words below, and ${facts.value?.name ?? 'the model'} goes on.`
          : 'Ask below. Nothing leaves this page.'}
      </p>
      <ul>
        {beginnings[format.value].map((beginning) => (
          <li key={beginning}>
            <button
              type="button"
              class="suggestion"
              disabled={!ready.value}
              onClick={() => void send(branch, beginning)}
            >
              {beginning}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
