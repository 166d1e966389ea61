import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Branch, Message } from '../conversation/conversation.ts';
import { Icon, IconButton } from './icons.tsx';
import {
  format,
  goOn,
  loadState,
  movingTo,
  ready,
  send,
  setDraft,
  stop,
  type Writing,
} from './store.ts';

interface ComposerProps {
  readonly branch: Branch;
  readonly path: readonly Message[];
  readonly writing: Writing | undefined;
  /** Absent while there is nothing to save. */
  readonly onSave: (() => void) | undefined;
}

/** Where one writes, and what one does with the column. */
export function Composer({ branch, path, writing, onSave }: ComposerProps): JSX.Element {
  const { id, draft } = branch;
  const field = useRef<HTMLTextAreaElement>(null);
  useFittingHeight(field, draft);
  const text = format.value === 'text';
  const canGoOn = path.length > 0 && !writing && ready.value;

  const submit = (): void => {
    void send(id, field.current?.value ?? '');
  };
  const keys = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && writing) {
      event.preventDefault();
      void stop(id);
    }
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
      onKeyDown={keys}
    >
      <div class="measure">
        <div class="field">
          <textarea
            ref={field}
            rows={1}
            value={draft}
            placeholder={placeholder(text, path.length > 0)}
            aria-label={text ? 'Text to go on from' : 'Your message'}
            enterkeyhint="send"
            onInput={({ currentTarget }) => setDraft(id, currentTarget.value)}
          />
          {writing ? (
            <button
              type="button"
              class="round stop"
              aria-label="Stop writing"
              title="Stop (Esc)"
              onClick={() => void stop(id)}
            >
              <Icon name="stop" />
            </button>
          ) : (
            <button
              type="submit"
              class="round"
              aria-label={text ? 'Write' : 'Send'}
              title={text ? 'Write (Enter)' : 'Send (Enter)'}
              disabled={!ready.value || draft.trim() === ''}
            >
              <Icon name="send" />
            </button>
          )}
        </div>
        <div class="under-field">
          <button
            type="button"
            class="button plain small"
            disabled={!canGoOn}
            onClick={() => void goOn(id)}
          >
            Continue
          </button>
          <span class="header-space" />
          {movingTo.value && <span class="hint">changing the device …</span>}
          <IconButton
            icon="save"
            label="Save the state to a file"
            disabled={onSave === undefined}
            onClick={onSave}
          />
          <LoadState />
        </div>
      </div>
    </form>
  );
}

function placeholder(text: boolean, begun: boolean): string {
  if (!text) return 'Ask something';
  return begun ? 'Add to the text' : 'Once upon a time …';
}

function LoadState(): JSX.Element {
  return (
    <label class="icon-button file-button" title="Load a state from a file">
      <span class="visually-hidden">Load a state from a file</span>
      <Icon name="load" />
      <input
        type="file"
        class="visually-hidden"
        accept=".safetensors"
        disabled={!ready.value}
        onChange={({ currentTarget }) => {
          const file = currentTarget.files?.[0];
          if (file) void loadState(file);
          currentTarget.value = '';
        }}
      />
    </label>
  );
}

/** The field is as high as its text, to a limit that the style sheet sets. */
function useFittingHeight(field: { current: HTMLTextAreaElement | null }, text: string): void {
  useEffect(() => {
    const element = field.current;
    if (!element) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight}px`;
  }, [field, text]);
}
