import { computed, effect, signal, type Signal } from '@preact/signals';
import { proxy } from 'comlink';
import {
  emptyConversation,
  newId,
  pathTo,
  withBranch,
  withFork,
  withMessage,
  withoutBranch,
  type Branch,
  type Conversation,
  type Format,
  type Message,
} from '../conversation/conversation.ts';
import { answerOf, formatFor, turnOf } from '../conversation/format.ts';
import { readConversation, writeConversation } from '../conversation/stored.ts';
import type {
  Abilities,
  DeviceChoice,
  LoadProgress,
  ModelChoice,
  ModelFacts,
  PathStep,
  StoredModel,
  WriteEvent,
  WriteResult,
} from '../engine/protocol.ts';
import { EngineClient, EngineGone } from './engine-client.ts';
import { clearMeter, measure } from './meter.ts';
import { announcement, dismissAll, notify } from './notices.ts';
import { change, settings, type Settings } from './settings.ts';

/** Where the page is with its model. */
export type ModelState =
  | { readonly status: 'none' }
  | { readonly status: 'loading'; readonly choice: ModelChoice; readonly progress?: LoadProgress }
  | { readonly status: 'ready'; readonly facts: ModelFacts }
  | {
      readonly status: 'needs vocabulary';
      readonly choice: Extract<ModelChoice, { kind: 'files' | 'address' | 'kept' }>;
      readonly says: string;
    };

/** An answer on its way. */
export interface Writing {
  readonly id: string;
  readonly branch: string;
  readonly message: Message;
  readonly text: Signal<string>;
  /** How much of the prompt is read; undefined when all is. */
  readonly reading: Signal<{ readonly read: number; readonly total: number } | undefined>;
  readonly tokens: number[];
}

export const model = signal<ModelState>({ status: 'none' });
/** The model that is loaded, also while another is on its way. */
export const facts = signal<ModelFacts | undefined>(undefined);
export const conversation = signal<Conversation>(emptyConversation());
export const activeBranch = signal('');
export const writings = signal<ReadonlyMap<string, Writing>>(new Map());
export const format = signal<Format>('text');
export const found = signal<Abilities | undefined>(undefined);
export const stored = signal<readonly StoredModel[]>([]);
export const movingTo = signal<DeviceChoice | undefined>(undefined);
export const ready = computed(() => facts.value !== undefined && model.value.status === 'ready');

let client = new EngineClient();
let loaded: ModelChoice | undefined;
let reviving: Promise<void> | undefined;

/** The token that ends a text, and begins the next. */
const endOfText = 0;

const branchOf = (id: string): Branch | undefined =>
  conversation.value.branches.find((branch) => branch.id === id);

/** Begins: the conversation and the model of the last visit. */
export async function begin(): Promise<void> {
  conversation.value = await readConversation();
  activeBranch.value = conversation.value.branches[0]!.id;
  keepWritten();
  void client.call((engine) => engine.keepStates(statesToKeep())).catch(() => {});
  void client
    .call((engine) => engine.abilities())
    .then(
      (abilities) => (found.value = abilities),
      () => {},
    );
  void refreshStored();
  if (settings.value.model) await load(settings.value.model);
}

/** How many states of the newest messages are kept from one visit to the next. */
const newestStates = 32;

/** Where columns end, what was written last, and what no text stands for. */
function statesToKeep(): readonly string[] {
  const { messages, branches } = conversation.value;
  const all = [...messages.values()];
  return [
    ...branches.flatMap(({ leaf }) => leaf ?? []),
    ...all.slice(-newestStates).map(({ id }) => id),
    ...all.filter(({ author }) => author === 'state').map(({ id }) => id),
  ];
}

async function refreshStored(): Promise<void> {
  stored.value = await client.call((engine) => engine.stored()).catch(() => []);
}

/** Loads a model. What is being written ends first; the conversation stays. */
export async function load(choice: ModelChoice): Promise<void> {
  await Promise.all([...writings.value.keys()].map(stop));
  dismissAll();
  model.value = { status: 'loading', choice };
  announcement.value = 'Loading the model';
  try {
    const now = await client.call((engine) =>
      engine.load(
        choice,
        settings.value.device,
        proxy((progress: LoadProgress) => {
          if (model.value.status === 'loading') model.value = { ...model.value, progress };
        }),
      ),
    );
    becomes(now, choice);
  } catch (error) {
    notLoaded(error, choice);
  }
  void refreshStored();
}

function becomes(now: ModelFacts, choice: ModelChoice): void {
  loaded = choice;
  facts.value = now;
  model.value = { status: 'ready', facts: now };
  format.value = formatFor(now.name, now.vocabularySize);
  announcement.value = `${now.name} is ready`;
  change({ model: nextTime(choice) });
  // What is fetched or dropped should not be the first thing that a browser throws away.
  if (choice.kind !== 'stories') void navigator.storage?.persist?.();
  if (now.warning) notify({ kind: 'problem', title: 'Not kept', text: now.warning });
  tellInstead(now);
}

/** How a model is opened at the next visit: a dropped file from its copy, what was fetched from the cache. */
function nextTime(choice: ModelChoice): NonNullable<Settings['model']> {
  if (choice.kind === 'files') return { kind: 'kept', name: choice.files[0]!.name };
  // Tokens are written nowhere; vocabularies are remembered by the engine.
  return choice.kind === 'address' ? { kind: 'address', address: choice.address } : choice;
}

function tellInstead({ device }: ModelFacts): void {
  if (!device.insteadOf) return;
  notify({
    kind: 'information',
    title: 'WebGPU did not open, so the model runs on WebAssembly',
    text: `It gives the same text, more slowly. ${found.value?.noWebGpu ?? sentence(device.insteadOf)}`,
  });
}

function notLoaded(error: unknown, choice: ModelChoice): void {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  model.value = facts.value ? { status: 'ready', facts: facts.value } : { status: 'none' };
  if (name === 'AbortError') return;
  if (name === 'NeedsVocabulary' && choice.kind !== 'stories') {
    model.value = { status: 'needs vocabulary', choice, says: message };
    announcement.value = message;
    return;
  }
  // What cannot be opened is not tried again at every visit.
  if (choice.kind === 'kept') change({ model: undefined });
  if (name === 'EngineGone') {
    facts.value = undefined;
    model.value = { status: 'none' };
    client.end();
    client = new EngineClient();
  }
  notify({
    kind: 'problem',
    title: 'The model could not be loaded',
    text: name === 'EngineGone' ? goneWhile('loading it') : sentence(message),
    action: { label: 'Try again', run: () => void load(choice) },
  });
}

const goneWhile = (doing: string): string =>
  `The browser ended the program that was ${doing}, most likely because memory ran out. ` +
  'Close other tabs or choose a smaller model.';

export function cancelLoad(): void {
  void client.call((engine) => engine.cancelLoad()).catch(() => {});
}

/** Leaves the question for a vocabulary. */
export function withoutVocabulary(): void {
  model.value = facts.value ? { status: 'ready', facts: facts.value } : { status: 'none' };
}

/** Files that were dropped on the page or chosen: a model, a vocabulary, a saved state. */
export async function open(files: readonly File[]): Promise<void> {
  if (files.length === 0) return;
  const vocabulary = files.find(isVocabulary);
  const others = files.filter((file) => file !== vocabulary);
  const now = model.value;
  if (others.length === 0 && vocabulary) {
    if (now.status === 'needs vocabulary') return addVocabulary(vocabulary);
    return notify({
      kind: 'information',
      title: 'That is a vocabulary',
      text: 'Drop the model together with it, or first the model and then its vocabulary.',
    });
  }
  if (others.length === 1 && facts.value && (await isState(others[0]!))) {
    return loadState(others[0]!);
  }
  await load({ kind: 'files', files: others, ...(vocabulary && { vocabulary }) });
}

/** As vocabularies are called; config files of a repository's folder are not among them. */
const isVocabulary = ({ name }: File): boolean =>
  /\.txt$/i.test(name) || /(?:vocab\w*|tokenizer)\.json$/i.test(name);

/** A safetensors file tells in its header, which lies at its beginning. */
async function isState(file: File): Promise<boolean> {
  return (await file.slice(0, 65_536).text()).includes('rwkv_state_version');
}

export async function addVocabulary(vocabulary: File): Promise<void> {
  const now = model.value;
  if (now.status !== 'needs vocabulary') return;
  const { choice } = now;
  if (choice.kind !== 'kept') return load({ ...choice, vocabulary });
  notify({
    kind: 'problem',
    title: 'Open both files together',
    text: 'Drop the model file and its vocabulary at once, so that both are kept.',
  });
}

export async function forget(one: StoredModel): Promise<void> {
  try {
    await client.call((engine) => engine.forget(one));
  } catch (error) {
    notify({ kind: 'problem', title: 'It could not be deleted', text: sentence(error) });
  }
  await refreshStored();
}

/** Changes the device; what is being written goes on there. */
export async function useDevice(device: DeviceChoice): Promise<void> {
  change({ device });
  if (!facts.value || movingTo.value) return;
  movingTo.value = device;
  announcement.value = 'Changing the device';
  try {
    const now = await client.call((engine) => engine.useDevice(device));
    facts.value = now;
    model.value = { status: 'ready', facts: now };
    announcement.value = `Runs on ${now.device.name}`;
    tellInstead(now);
  } catch (error) {
    notify({ kind: 'problem', title: 'The device could not be changed', text: sentence(error) });
  } finally {
    movingTo.value = undefined;
  }
}

/** Reads a text and writes what follows. */
export async function send(branchId: string, text: string): Promise<void> {
  const branch = branchOf(branchId);
  if (!branch || !ready.value || writings.value.has(branchId) || text.trim() === '') return;
  const before = pathTo(conversation.value.messages, branch.leaf);
  const {
    fed,
    prefix,
    stop: stops,
  } = turnOf(
    text,
    before.map((message) => message.fed).join(''),
    format.value,
    settings.value.thinking,
  );
  const message: Message = {
    id: newId(),
    parent: branch.leaf,
    author: 'user',
    text,
    fed,
    format: format.value,
  };
  conversation.value = withBranch(withMessage(conversation.value, message, branchId), branchId, {
    draft: '',
  });
  await answer(branchId, prefix, stops);
}

/** Writes on where the column ends. */
export async function goOn(branchId: string): Promise<void> {
  const branch = branchOf(branchId);
  if (!branch || !ready.value || writings.value.has(branchId)) return;
  const last = branch.leaf ? conversation.value.messages.get(branch.leaf) : undefined;
  const { prefix, stop: stops } = answerOf(last?.format ?? format.value, settings.value.thinking);
  const written = last?.finish === 'end' ? [endOfText] : [];
  await answer(branchId, last?.author === 'model' ? '' : prefix, stops, written);
}

/** Writes another answer in the place of this one, which stays as a version. */
export async function retry(branchId: string, messageId: string): Promise<void> {
  const message = conversation.value.messages.get(messageId);
  if (!message || !ready.value || writings.value.has(branchId)) return;
  conversation.value = withBranch(conversation.value, branchId, { leaf: message.parent });
  await goOn(branchId);
}

/** Puts a text back into the column's field; sending it makes another version. */
export function edit(branchId: string, messageId: string): void {
  const message = conversation.value.messages.get(messageId);
  if (!message) return;
  conversation.value = withBranch(conversation.value, branchId, {
    leaf: message.parent,
    draft: message.text,
  });
}

/** A message as the model reads it. */
function stepOf({ id, fed, tokens, fingerprint, author }: Message): PathStep {
  return { id, fed, tokens, fingerprint, isState: author === 'state' };
}

async function answer(
  branchId: string,
  prefix: string,
  stops: readonly string[],
  written: number[] = [],
): Promise<void> {
  const leaf = branchOf(branchId)?.leaf;
  const path = pathTo(conversation.value.messages, leaf);
  const last = path.at(-1);
  const writing: Writing = {
    id: newId(),
    branch: branchId,
    message: {
      id: newId(),
      parent: leaf,
      author: 'model',
      text: '',
      fed: '',
      format: last?.format ?? format.value,
    },
    text: signal(''),
    reading: signal(undefined),
    tokens: written,
  };
  writings.value = new Map(writings.value).set(branchId, writing);
  announcement.value = 'Writing';
  const seed = settings.value.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!;
  const { sampling, maxTokens } = settings.value;
  const recommended = facts.value?.recommended ?? {};
  try {
    for (let tries = 0; ; tries++) {
      try {
        const request = {
          id: writing.id,
          path: path.map(stepOf),
          answer: { id: writing.message.id, prefix, written: [...writing.tokens] },
          sampling: { ...recommended, ...sampling },
          maxTokens,
          seed,
          stop: stops,
        };
        const tell = proxy((event: WriteEvent) => take(writing, event));
        finish(writing, await client.call((engine) => engine.write(request, tell)));
        return;
      } catch (error) {
        if (!(error instanceof EngineGone) || tries === 2) throw error;
        await revive();
      }
    }
  } catch (error) {
    breakOff(writing, error);
  }
}

/** Takes what is told of a writing. */
function take(writing: Writing, event: WriteEvent): void {
  // What comes after the end was told before it.
  if (writings.value.get(writing.branch) !== writing) return;
  switch (event.kind) {
    case 'reading':
      writing.reading.value = event.read < event.total ? event : undefined;
      return;
    case 'written':
      writing.reading.value = undefined;
      writing.tokens.push(...event.tokens);
      // The first piece waited for the prompt.
      if (writing.text.value !== '') measure(writing.branch, event);
      writing.text.value += event.text;
      return;
    case 'moved': {
      const { device, because } = event;
      if (facts.value) facts.value = { ...facts.value, device };
      if (because === undefined) return;
      notify({
        kind: 'information',
        title: 'The device was lost, and the writing goes on',
        text: `It was opened again (${device.name}) and continues from the same place. The reason: ${sentence(because)}`,
      });
    }
  }
}

function finish(writing: Writing, result: WriteResult): void {
  const { pathTokens, ...written } = result;
  const messages = new Map(conversation.value.messages);
  for (const [id, tokens] of Object.entries(pathTokens)) {
    const message = messages.get(id);
    if (message) messages.set(id, { ...message, tokens, fingerprint: written.fingerprint });
  }
  end(writing, { ...writing.message, ...written }, { ...conversation.value, messages });
  announcement.value =
    written.finish === 'stopped' ? 'Stopped' : `Finished: ${written.text.slice(0, 2000)}`;
  void warnWhenFull();
}

/** Keeps what was written before something failed, and says what did. */
function breakOff(writing: Writing, error: unknown): void {
  const { text, tokens } = writing;
  const message: Message = {
    ...writing.message,
    text: text.value,
    fed: text.value,
    tokens,
    fingerprint: facts.value?.fingerprint,
    finish: 'broken',
  };
  end(writing, text.value === '' ? undefined : message, conversation.value);
  notify({
    kind: 'problem',
    title: 'Writing was interrupted; nothing is lost',
    text: error instanceof EngineGone ? goneWhile('writing') : sentence(error),
    action: { label: 'Go on', run: () => void goOn(writing.branch) },
  });
}

function end(writing: Writing, message: Message | undefined, on: Conversation): void {
  const others = new Map(writings.value);
  others.delete(writing.branch);
  writings.value = others;
  conversation.value = message ? withMessage(on, message, writing.branch) : on;
}

let warned = false;
async function warnWhenFull(): Promise<void> {
  const full = await client.call((engine) => engine.statesAreHeldOnly()).catch(() => false);
  if (full && !warned) {
    notify({
      kind: 'problem',
      title: 'The browser’s storage is full',
      text:
        'The conversation goes on, and its states are held in memory: after a reload they are computed ' +
        'from the text. Delete a stored model, or save the state to a file.',
    });
  }
  warned = full;
}

/** A new worker with the model that the old one had. */
function revive(): Promise<void> {
  return (reviving ??= (async () => {
    client.end();
    client = new EngineClient();
    notify({
      kind: 'information',
      title: 'The writing goes on',
      text: 'The browser had ended the program that computes. It was started again, and continues from the same place.',
    });
    if (loaded) {
      const choice = loaded;
      const { device } = settings.value;
      const now = await client.call((engine) =>
        engine.load(
          choice,
          device,
          proxy(() => {}),
        ),
      );
      facts.value = now;
      model.value = { status: 'ready', facts: now };
    }
  })().finally(() => (reviving = undefined)));
}

/** Stops a column's writing at once; what there is stays. */
export async function stop(branchId: string): Promise<void> {
  const writing = writings.value.get(branchId);
  if (writing) await client.call((engine) => engine.stop(writing.id)).catch(() => {});
}

/** A second column that goes on from a message by itself. */
export function fork(branchId: string, messageId: string): void {
  const made = withFork(conversation.value, branchId, messageId);
  conversation.value = made.conversation;
  activeBranch.value = made.fork.id;
  announcement.value = `Forked: there are ${made.conversation.branches.length} columns now`;
}

export function closeBranch(branchId: string): void {
  void stop(branchId);
  conversation.value = withoutBranch(conversation.value, branchId);
  if (activeBranch.value === branchId) activeBranch.value = conversation.value.branches[0]!.id;
}

export function showVersion(branchId: string, leaf: string): void {
  conversation.value = withBranch(conversation.value, branchId, { leaf });
}

export function setDraft(branchId: string, draft: string): void {
  conversation.value = withBranch(conversation.value, branchId, { draft });
}

/** Begins anew; what was there is gone. */
export async function startAnew(): Promise<void> {
  await Promise.all([...writings.value.keys()].map(stop));
  conversation.value = emptyConversation();
  activeBranch.value = conversation.value.branches[0]!.id;
  clearMeter();
  await client.call((engine) => engine.keepStates([])).catch(() => {});
}

/** The column's state as a file. */
export async function saveState(branchId: string): Promise<void> {
  const path = pathTo(conversation.value.messages, branchOf(branchId)?.leaf);
  try {
    const blob = await client.call((engine) => engine.saveState(path.map(stepOf)));
    const link = document.createElement('a');
    link.href = URL.createObjectURL(blob);
    link.download = `${facts.value?.name.replace(/\W+/g, '-') ?? 'rwkv'}-state.safetensors`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    announcement.value = 'The state was saved to a file';
  } catch (error) {
    notify({ kind: 'problem', title: 'The state could not be saved', text: sentence(error) });
  }
}

/** A new column that goes on from a state file. */
export async function loadState(file: File): Promise<void> {
  const id = newId();
  try {
    const { tokenCount } = await client.call((engine) => engine.loadState(file, id));
    const message: Message = {
      id,
      parent: undefined,
      author: 'state',
      text: `${file.name}: ${tokenCount.toLocaleString()} tokens, already read`,
      fed: '',
      format: format.value,
      finish: 'stop',
    };
    const { branches, messages } = conversation.value;
    const empty = branches.find(({ leaf }) => leaf === undefined);
    const branch = empty ?? { id: newId(), leaf: undefined, draft: '' };
    const all = empty ? branches : [...branches, branch];
    conversation.value = withMessage({ messages, branches: all }, message, branch.id);
    activeBranch.value = branch.id;
    announcement.value = `State loaded: ${message.text}`;
  } catch (error) {
    notify({ kind: 'problem', title: 'The state could not be loaded', text: sentence(error) });
  }
}

/** Writes the conversation to the browser's database when it changes, with what is on its way. */
function keepWritten(): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const write = (): void => {
    clearTimeout(timer);
    timer = undefined;
    let now = conversation.value;
    for (const { branch, message, text, tokens } of writings.value.values()) {
      if (text.value === '') continue;
      const fingerprint = facts.value?.fingerprint;
      const partial = { ...message, text: text.value, fed: text.value, finish: 'broken' as const };
      now = withMessage(now, { ...partial, tokens: [...tokens], fingerprint }, branch);
    }
    void writeConversation(now);
    if (writings.value.size > 0) timer = setTimeout(write, 2000);
  };
  let messages = conversation.value.messages;
  effect(() => {
    const now = conversation.value;
    void writings.value;
    // Messages at once; of what is being typed, not every letter.
    if (now.messages !== messages) write();
    else timer ??= setTimeout(write, 300);
    messages = now.messages;
  });
  addEventListener('pagehide', write);
}

/** An error's message as a sentence. */
function sentence(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}
