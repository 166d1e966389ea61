/** An answer of a model that thinks before it answers. */
export interface Thoughts {
  /** What is between the marks; undefined where nothing is thought. */
  readonly thoughts: string | undefined;
  /** True while the thinking has not ended. */
  readonly thinking: boolean;
  readonly answer: string;
}

const opening = /^\s*<think>?/;

/** Parts an answer as G1 models write it: `<think>` … `</think>` and then the answer. */
export function splitThoughts(text: string): Thoughts {
  const begin = opening.exec(text);
  if (!begin) return { thoughts: undefined, thinking: false, answer: text.trimStart() };
  const rest = text.slice(begin[0].length);
  const end = /<\/think>?/.exec(rest);
  if (!end) return { thoughts: rest.trim(), thinking: true, answer: '' };
  return {
    thoughts: rest.slice(0, end.index).trim() || undefined,
    thinking: false,
    answer: rest.slice(end.index + end[0].length).trimStart(),
  };
}
