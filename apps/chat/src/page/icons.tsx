import type { JSX } from 'preact';

/** Shapes of 24 by 24, drawn with lines. */
const paths = {
  send: 'M5 12h13M12 5l7 7-7 7',
  stop: 'M7 7h10v10H7z',
  fork: 'M7 8.5v7M7 13c0-3.5 10-1 10-4.5M7 4.5a2 2 0 1 0 0 4 2 2 0 0 0 0-4M17 4.5a2 2 0 1 0 0 4 2 2 0 0 0 0-4M7 15.5a2 2 0 1 0 0 4 2 2 0 0 0 0-4',
  edit: 'M5 19h3L18.5 8.5a2.1 2.1 0 0 0-3-3L5 16zM13.5 7.5l3 3',
  retry: 'M19 12a7 7 0 1 1-2.2-5.1M19 4v4h-4',
  copy: 'M9 9h10v10H9zM5 15V5h10',
  save: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  load: 'M12 16V5M7 9l5-5 5 5M5 20h14',
  close: 'M6 6l12 12M18 6L6 18',
  more: 'M4 7h10M18 7h2M4 17h2M10 17h10M16 4.5v5M8 14.5v5',
  back: 'M14 6l-6 6 6 6',
  next: 'M10 6l6 6-6 6',
  book: 'M12 7c-2-1.6-4.6-2-8-2v13c3.4 0 6 .4 8 2 2-1.6 4.6-2 8-2V5c-3.4 0-6 .4-8 2zM12 7v13',
  file: 'M7 3h7l5 5v13H7zM14 3v5h5',
  cloud: 'M7 18a4 4 0 0 1-.6-8A6 6 0 0 1 18 9.5a4.3 4.3 0 0 1-.7 8.5z',
  trash: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13',
  anew: 'M12 5v14M5 12h14',
  chip: 'M8 8h8v8H8zM5 5h14v14H5zM9 2v3M15 2v3M9 19v3M15 19v3M2 9h3M2 15h3M19 9h3M19 15h3',
} as const;

export type IconName = keyof typeof paths;

/** A picture beside or in place of a word; the word is for those who do not see it. */
export function Icon({ name }: { readonly name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}

/** A button that is an icon. */
export function IconButton({
  icon,
  label,
  ...rest
}: {
  readonly icon: IconName;
  readonly label: string;
} & JSX.IntrinsicElements['button']): JSX.Element {
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} {...rest}>
      <Icon name={icon} />
    </button>
  );
}
