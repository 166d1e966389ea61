import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Column } from './column.tsx';
import { activeBranch, conversation } from './store.ts';

/** The columns side by side; on a narrow screen one at a time, with tabs. */
export function Columns(): JSX.Element {
  const { branches } = conversation.value;
  const row = useRef<HTMLDivElement>(null);
  const active = activeBranch.value;
  useEffect(() => {
    row.current?.querySelector(`[data-branch="${active}"]`)?.scrollIntoView({
      behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth',
      inline: 'nearest',
      block: 'nearest',
    });
  }, [active, branches.length]);
  return (
    <>
      {branches.length > 1 && (
        <nav class="tabs" aria-label="Columns">
          {branches.map(({ id }, index) => (
            <button
              key={id}
              type="button"
              aria-current={id === active ? 'true' : undefined}
              onClick={() => (activeBranch.value = id)}
            >
              {columnName(index)}
            </button>
          ))}
        </nav>
      )}
      <div class="columns" ref={row}>
        {branches.map((branch, index) => (
          <Column
            key={branch.id}
            branch={branch}
            name={columnName(index)}
            alone={branches.length === 1}
          />
        ))}
      </div>
    </>
  );
}

/** Columns have letters: A, B … */
const columnName = (index: number): string => `Column ${String.fromCharCode(65 + index)}`;
