import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { Columns } from './columns.tsx';
import { Header } from './header.tsx';
import { LoadingBar } from './loading-bar.tsx';
import { ModelChooser } from './model-chooser.tsx';
import { Notices } from './notices-list.tsx';
import { announcement } from './notices.ts';
import { Panel } from './panel.tsx';
import { change, settings } from './settings.ts';
import { conversation, facts, model, open } from './store.ts';

/** Width from which the panel has room beside the text. */
const wide = matchMedia('(min-width: 68rem)');

/** The whole page. */
export function App(): JSX.Element {
  const choosing = useSignal(false);
  const dragging = useDroppedFiles();
  const panelOpen = useSignal(settings.value.panelOpen ?? wide.matches);
  const { status } = model.value;
  const hasText = conversation.value.messages.size > 0;
  const chooserShows =
    choosing.value || status === 'needs vocabulary' || (!facts.value && !hasText);

  const togglePanel = (): void => {
    panelOpen.value = !panelOpen.value;
    if (wide.matches) change({ panelOpen: panelOpen.value });
  };
  const chosen = (): void => {
    choosing.value = false;
  };

  return (
    <div class={`page${panelOpen.value && facts.value ? ' with-panel' : ''}`}>
      <a class="skip" href="#main">
        Skip to the text
      </a>
      <Header
        panelOpen={panelOpen.value}
        onPanel={togglePanel}
        onChoose={() => (choosing.value = !choosing.value)}
        choosing={chooserShows}
      />
      <Notices />
      <main id="main" tabIndex={-1}>
        {!chooserShows && status === 'loading' && <LoadingBar />}
        {chooserShows ? (
          <ModelChooser onChosen={chosen} onLeave={facts.value || hasText ? chosen : undefined} />
        ) : (
          <Columns />
        )}
      </main>
      {facts.value && (
        <Panel open={panelOpen.value} onClose={() => (panelOpen.value = false)} wide={wide} />
      )}
      {dragging.value && (
        <div class="drop" aria-hidden="true">
          <p>Drop a model, a vocabulary or a saved state</p>
        </div>
      )}
      <p class="visually-hidden" role="status" aria-live="polite">
        {announcement.value}
      </p>
    </div>
  );
}

/** Opens files that are dropped anywhere on the page; tells whether some hover over it. */
function useDroppedFiles() {
  const dragging = useSignal(false);
  useEffect(() => {
    const hasFiles = (event: DragEvent): boolean =>
      event.dataTransfer?.types.includes('Files') ?? false;
    const over = (event: DragEvent): void => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      dragging.value = true;
    };
    const leave = (event: DragEvent): void => {
      if (event.relatedTarget === null) dragging.value = false;
    };
    const drop = (event: DragEvent): void => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      dragging.value = false;
      void open([...(event.dataTransfer?.files ?? [])]);
    };
    addEventListener('dragover', over);
    addEventListener('dragleave', leave);
    addEventListener('drop', drop);
    return () => {
      removeEventListener('dragover', over);
      removeEventListener('dragleave', leave);
      removeEventListener('drop', drop);
    };
  }, [dragging]);
  return dragging;
}
