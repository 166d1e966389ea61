import { signal } from '@preact/signals';
import { newId } from '../conversation/conversation.ts';

/** Something that the user should know, until it is dismissed. */
export interface Notice {
  readonly id: string;
  readonly kind: 'problem' | 'information';
  readonly title: string;
  readonly text: string;
  readonly action?: { readonly label: string; readonly run: () => void } | undefined;
}

export const notices = signal<readonly Notice[]>([]);

/** What a screen reader says; nothing is shown. */
export const announcement = signal('');

export function notify(notice: Omit<Notice, 'id'>): void {
  const others = notices.value.filter(({ title }) => title !== notice.title);
  notices.value = [...others, { ...notice, id: newId() }].slice(-3);
}

export function dismiss(id: string): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

export function dismissAll(): void {
  notices.value = [];
}
