import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { bytesText } from './format-numbers.ts';
import { Icon, IconButton, type IconName } from './icons.tsx';
import { LoadingBar } from './loading-bar.tsx';
import {
  addVocabulary,
  facts,
  forget,
  load,
  model,
  open,
  stored,
  withoutVocabulary,
} from './store.ts';

interface ChooserProps {
  onChosen(): void;
  /** Absent while there is nothing to go back to. */
  readonly onLeave: (() => void) | undefined;
}

/** The choice of a model, and how far its loading is. */
export function ModelChooser({ onChosen, onLeave }: ChooserProps): JSX.Element {
  const { status } = model.value;
  const done = async (loading: Promise<void>): Promise<void> => {
    await loading;
    if (model.value.status === 'ready') onChosen();
  };
  return (
    <div class="chooser">
      <div class="chooser-head">
        <div>
          <h2>A language model in this page</h2>
          <p class="lead">
            It runs on your own device, without a server. What you write stays here.
          </p>
        </div>
        {onLeave && status !== 'loading' && (
          <IconButton icon="close" label="Back to the text" onClick={onLeave} />
        )}
      </div>
      {status === 'loading' ? (
        <LoadingBar />
      ) : status === 'needs vocabulary' ? (
        <NeedsVocabulary done={done} />
      ) : (
        <>
          <div class="choices">
            <Choice
              icon="book"
              title="Tell me a story"
              text="A little storyteller comes with this page: 6.8 MB, ready in a moment."
            >
              <button
                type="button"
                class="button primary"
                onClick={() => void done(load({ kind: 'stories' }))}
              >
                Start the storyteller
              </button>
            </Choice>
            <Choice
              icon="file"
              title="Open a file"
              text="RWKV-4 to 7 as .pth, .safetensors, .gguf or .bin. Drop it anywhere here, with its vocabulary unless it is a GGUF."
            >
              <FileButton
                label="Choose files"
                multiple
                onFiles={(files) => void done(open(files))}
              />
            </Choice>
            <FromAddress done={done} />
          </div>
          <Stored done={done} />
        </>
      )}
    </div>
  );
}

function Choice({
  icon,
  title,
  text,
  children,
}: {
  readonly icon: IconName;
  readonly title: string;
  readonly text: string;
  readonly children: JSX.Element;
}): JSX.Element {
  return (
    <section class="choice">
      <Icon name={icon} />
      <h3>{title}</h3>
      <p>{text}</p>
      {children}
    </section>
  );
}

/** A button that asks for files. */
function FileButton({
  label,
  multiple = false,
  onFiles,
}: {
  readonly label: string;
  readonly multiple?: boolean;
  onFiles(files: readonly File[]): void;
}): JSX.Element {
  return (
    <label class="button file-button">
      {label}
      <input
        type="file"
        class="visually-hidden"
        multiple={multiple}
        onChange={({ currentTarget }) => {
          const files = [...(currentTarget.files ?? [])];
          // The same file can be chosen again.
          currentTarget.value = '';
          onFiles(files);
        }}
      />
    </label>
  );
}

function FromAddress({ done }: { done(loading: Promise<void>): Promise<void> }): JSX.Element {
  const address = useSignal('');
  const vocabulary = useSignal('');
  const token = useSignal('');
  const submit = (event: Event): void => {
    event.preventDefault();
    const asked = address.value.trim();
    if (asked === '') return;
    void done(
      load({
        kind: 'address',
        address: asked,
        ...(vocabulary.value.trim() && { vocabulary: vocabulary.value.trim() }),
        ...(token.value.trim() && { token: token.value.trim() }),
      }),
    );
  };
  return (
    <section class="choice">
      <Icon name="cloud" />
      <h3>From Hugging Face</h3>
      <p>Or any address. It is fetched once, checked, and kept in this browser.</p>
      <form onSubmit={submit}>
        <label>
          Model
          <input
            type="text"
            required
            spellcheck={false}
            autocomplete="off"
            placeholder="hf:owner/repository/model.pth"
            value={address.value}
            onInput={({ currentTarget }) => (address.value = currentTarget.value)}
          />
        </label>
        <details>
          <summary>Vocabulary and access token</summary>
          <label>
            Vocabulary, unless it is a GGUF
            <input
              type="text"
              spellcheck={false}
              autocomplete="off"
              placeholder="hf:owner/repository/rwkv_vocab_v20230424.txt"
              value={vocabulary.value}
              onInput={({ currentTarget }) => (vocabulary.value = currentTarget.value)}
            />
          </label>
          <label>
            Token, for private files (never stored)
            <input
              type="password"
              autocomplete="off"
              value={token.value}
              onInput={({ currentTarget }) => (token.value = currentTarget.value)}
            />
          </label>
        </details>
        <button type="submit" class="button">
          Fetch and open
        </button>
      </form>
    </section>
  );
}

function NeedsVocabulary({ done }: { done(loading: Promise<void>): Promise<void> }): JSX.Element {
  const now = model.value;
  if (now.status !== 'needs vocabulary') return <></>;
  return (
    <section class="choice question" role="alert">
      <Icon name="file" />
      <h3>This model needs its vocabulary</h3>
      <p>{now.says}</p>
      <div class="row">
        <FileButton
          label="Add the vocabulary"
          onFiles={([file]) => {
            if (file) void done(addVocabulary(file));
          }}
        />
        <button type="button" class="button plain" onClick={withoutVocabulary}>
          {facts.value ? 'Keep the model that is loaded' : 'Choose another model'}
        </button>
      </div>
    </section>
  );
}

function Stored({ done }: { done(loading: Promise<void>): Promise<void> }): JSX.Element {
  if (stored.value.length === 0) return <></>;
  return (
    <section class="stored" aria-label="Models in this browser">
      <h3>In this browser</h3>
      <ul>
        {stored.value.map((one) => (
          <li key={one.name}>
            <button type="button" class="stored-name" onClick={() => void done(load(one.choice))}>
              <span>{one.name}</span>
              <span class="stored-size">{bytesText(one.bytes)}</span>
            </button>
            <IconButton
              icon="trash"
              label={`Delete ${one.name}`}
              onClick={() => void forget(one)}
            />
          </li>
        ))}
      </ul>
    </section>
  );
}
