import type { JSX } from 'preact';
import type { LoadProgress, ModelChoice } from '../engine/protocol.ts';
import { bytesText } from './format-numbers.ts';
import { cancelLoad, model } from './store.ts';

/** One number over all files of a model, in bytes, with what is being done. */
export function LoadingBar(): JSX.Element {
  const now = model.value;
  if (now.status !== 'loading') return <></>;
  const { progress, choice } = now;
  const share =
    progress?.totalBytes === undefined ? undefined : progress.loadedBytes / progress.totalBytes;
  const words = stageWords(progress);
  return (
    <section class="loading" aria-label="Loading the model">
      <h3>{nameOf(choice)}</h3>
      <progress
        max={1}
        {...(share === undefined ? {} : { value: share })}
        aria-label={words}
        aria-valuetext={share === undefined ? words : `${Math.floor(share * 100)} %`}
      />
      <p class="loading-text">
        <span>{words}</span>
        <span class="figures">{figures(progress)}</span>
      </p>
      <button type="button" class="button plain" onClick={cancelLoad}>
        Cancel
      </button>
    </section>
  );
}

function stageWords(progress: LoadProgress | undefined): string {
  switch (progress?.stage) {
    case 'loading':
      return progress.fromCache ? 'Loading from this browser' : 'Loading onto the device';
    case 'waiting':
      return 'Waiting for another tab that downloads it';
    case 'downloading':
      return 'Downloading';
    case 'verifying':
      return 'Checking';
    case 'done':
      return 'Getting ready';
    case 'opening':
    case undefined:
      return 'Opening';
  }
}

function figures(progress: LoadProgress | undefined): string {
  if (progress?.totalBytes === undefined) return '';
  return `${bytesText(progress.loadedBytes)} of ${bytesText(progress.totalBytes)}`;
}

function nameOf(choice: ModelChoice): string {
  switch (choice.kind) {
    case 'stories':
      return 'The storyteller';
    case 'files':
      return choice.files.map(({ name }) => name).join(', ');
    case 'kept':
      return choice.name;
    case 'address':
      return choice.address;
  }
}
