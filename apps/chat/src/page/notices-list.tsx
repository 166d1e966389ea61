import type { JSX } from 'preact';
import { IconButton } from './icons.tsx';
import { dismiss, notices } from './notices.ts';

/** What went wrong or should be known, with what can be done. */
export function Notices(): JSX.Element {
  return (
    <div class="notices">
      {notices.value.map(({ id, kind, title, text, action }) => (
        <section key={id} class={`notice ${kind}`} role={kind === 'problem' ? 'alert' : 'status'}>
          <div>
            <h2>{title}</h2>
            <p>{text}</p>
            {action && (
              <button
                type="button"
                class="button small"
                onClick={() => {
                  dismiss(id);
                  action.run();
                }}
              >
                {action.label}
              </button>
            )}
          </div>
          <IconButton icon="close" label={`Dismiss: ${title}`} onClick={() => dismiss(id)} />
        </section>
      ))}
    </div>
  );
}
