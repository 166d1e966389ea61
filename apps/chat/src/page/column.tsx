import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { pathTo, type Branch } from '../conversation/conversation.ts';
import { Composer } from './composer.tsx';
import { IconButton } from './icons.tsx';
import { activeBranch, closeBranch, conversation, facts, saveState, writings } from './store.ts';
import { Suggestions } from './suggestions.tsx';
import { Transcript } from './transcript.tsx';

interface ColumnProps {
  readonly branch: Branch;
  readonly name: string;
  readonly alone: boolean;
}

/** Pixels from the end within which the text is followed while it grows. */
const nearEnd = 120;

/** One way through the conversation, with its field to write in. */
export function Column({ branch, name, alone }: ColumnProps): JSX.Element {
  const { id } = branch;
  const path = pathTo(conversation.value.messages, branch.leaf);
  const writing = writings.value.get(id);
  const scroller = useFollowing(writing?.text.value.length ?? path.length);
  return (
    <section
      class={`column${activeBranch.value === id ? ' active' : ''}`}
      aria-label={alone ? 'Text' : name}
      data-branch={id}
      onFocusCapture={() => (activeBranch.value = id)}
    >
      {!alone && (
        <div class="column-head">
          <h2>{name}</h2>
          <IconButton icon="close" label={`Close ${name}`} onClick={() => closeBranch(id)} />
        </div>
      )}
      <div
        class="scroller"
        ref={scroller}
        role="log"
        aria-live="off"
        aria-busy={writing !== undefined}
        aria-label="Conversation"
        tabIndex={0}
      >
        <div class="measure">
          {path.length === 0 && !writing ? (
            <Suggestions branch={id} />
          ) : (
            <Transcript branch={id} path={path} writing={writing} />
          )}
        </div>
      </div>
      <Composer
        branch={branch}
        path={path}
        writing={writing}
        onSave={facts.value && path.length > 0 && !writing ? () => void saveState(id) : undefined}
      />
    </section>
  );
}

/** Keeps the end of the text in sight while it grows, unless the reader has scrolled up. */
function useFollowing(length: number) {
  const scroller = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const look = (): void => {
      follows.current = element.scrollHeight - element.scrollTop - element.clientHeight < nearEnd;
    };
    element.addEventListener('scroll', look, { passive: true });
    // A notice above or a taller field below make it smaller.
    const watch = new ResizeObserver(() => {
      if (follows.current) element.scrollTop = element.scrollHeight;
    });
    watch.observe(element);
    return () => {
      element.removeEventListener('scroll', look);
      watch.disconnect();
    };
  }, []);
  useEffect(() => {
    const element = scroller.current;
    if (element && follows.current) element.scrollTop = element.scrollHeight;
  }, [length]);
  return scroller;
}
