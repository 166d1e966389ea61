import type { ComponentChildren, JSX } from 'preact';
import { newestBelow, versionsOf, type Message } from '../conversation/conversation.ts';
import { splitThoughts } from '../conversation/thinking.ts';
import { IconButton } from './icons.tsx';
import { announcement } from './notices.ts';
import { conversation, edit, fork, ready, retry, showVersion, type Writing } from './store.ts';

interface TranscriptProps {
  readonly branch: string;
  readonly path: readonly Message[];
  readonly writing: Writing | undefined;
}

/** A user's message and what the model made of it; continuations belong to it. */
interface Exchange {
  readonly key: string;
  readonly user: Message | undefined;
  readonly answers: readonly Message[];
}

/** The messages of a column: as turns of a chat, or as one text. */
export function Transcript({ branch, path, writing }: TranscriptProps): JSX.Element {
  const exchanges = exchangesOf(path);
  return (
    <>
      {exchanges.map((exchange, index) => {
        const last = index === exchanges.length - 1;
        const format = (exchange.user ?? exchange.answers[0])?.format ?? 'text';
        const props = { branch, exchange, writing: last ? writing : undefined };
        if (exchange.answers[0]?.author === 'state') {
          return <SavedState key={exchange.key} {...props} />;
        }
        return format === 'text' ? (
          <Passage key={exchange.key} {...props} />
        ) : (
          <Turn key={exchange.key} {...props} />
        );
      })}
      {exchanges.length === 0 && writing && (
        <Passage
          branch={branch}
          exchange={{ key: 'first', user: undefined, answers: [] }}
          writing={writing}
        />
      )}
    </>
  );
}

function exchangesOf(path: readonly Message[]): Exchange[] {
  const exchanges: Exchange[] = [];
  for (const message of path) {
    const last = exchanges.at(-1);
    if (message.author === 'model' && last) {
      exchanges[exchanges.length - 1] = { ...last, answers: [...last.answers, message] };
    } else if (message.author === 'user') {
      exchanges.push({ key: message.id, user: message, answers: [] });
    } else {
      exchanges.push({ key: message.id, user: undefined, answers: [message] });
    }
  }
  return exchanges;
}

interface ExchangeProps {
  readonly branch: string;
  readonly exchange: Exchange;
  readonly writing: Writing | undefined;
}

/** Plain text: the user's words and the model's run on in one paragraph. */
function Passage({ branch, exchange, writing }: ExchangeProps): JSX.Element {
  const { user, answers } = exchange;
  return (
    <article class="passage">
      <p class="prose">
        {user && <span class="own">{user.fed.trimStart()}</span>}
        <Pieces answers={answers} writing={writing} />
      </p>
      {!writing && <Actions branch={branch} exchange={exchange} />}
    </article>
  );
}

/** What the model wrote, piece after piece; a mark stands where it ended a text and began another. */
function Pieces({
  answers,
  writing,
}: {
  readonly answers: readonly Message[];
  readonly writing: Writing | undefined;
}): JSX.Element {
  return (
    <>
      {answers.map(({ id, text }, index) => (
        <span key={id}>
          {answers[index - 1]?.finish === 'end' && <EndMark />}
          {text}
        </span>
      ))}
      {writing && answers.at(-1)?.finish === 'end' && <EndMark />}
      {writing && <Growing writing={writing} />}
    </>
  );
}

const EndMark = (): JSX.Element => <span class="end-mark">{'\n⁂\n'}</span>;

/** A turn of a chat. */
function Turn({ branch, exchange, writing }: ExchangeProps): JSX.Element {
  const { user, answers } = exchange;
  const written = answers.map(({ text }) => text).join('');
  return (
    <>
      {user && (
        <article class="turn user">
          <h3 class="visually-hidden">You</h3>
          <p>{user.text}</p>
          {!writing && <UserActions branch={branch} message={user} />}
        </article>
      )}
      {(answers.length > 0 || writing) && (
        <article class="turn model">
          <h3 class="visually-hidden">The model</h3>
          {writing ? (
            <GrowingAnswer written={written} writing={writing} />
          ) : (
            <Answer text={written} />
          )}
          {!writing && <Actions branch={branch} exchange={exchange} />}
        </article>
      )}
    </>
  );
}

/** Where a text goes on from a state that was a file. */
function SavedState({ branch, exchange, writing }: ExchangeProps): JSX.Element {
  const [state, ...answers] = exchange.answers;
  return (
    <article class="passage">
      <p class="from-state">{state!.text}</p>
      <p class="prose">
        <Pieces answers={answers} writing={writing} />
      </p>
      {!writing && answers.length > 0 && <Actions branch={branch} exchange={exchange} />}
    </article>
  );
}

/** Text that is being written: only this redraws. */
function Growing({ writing }: { readonly writing: Writing }): JSX.Element {
  return (
    <>
      <span>{writing.text.value}</span>
      <Reading writing={writing} />
      <span class="caret" aria-hidden="true" />
    </>
  );
}

function GrowingAnswer({
  written,
  writing,
}: {
  readonly written: string;
  readonly writing: Writing;
}): JSX.Element {
  return (
    <>
      <Answer text={written + writing.text.value} growing />
      <Reading writing={writing} />
      <span class="caret" aria-hidden="true" />
    </>
  );
}

function Reading({ writing }: { readonly writing: Writing }): JSX.Element {
  const reading = writing.reading.value;
  if (!reading) return <></>;
  return (
    <span class="reading">
      reading {reading.read} of {reading.total} tokens
    </span>
  );
}

/** An answer with its thoughts folded. */
function Answer({
  text,
  growing = false,
}: {
  readonly text: string;
  readonly growing?: boolean;
}): JSX.Element {
  const { thoughts, thinking, answer } = splitThoughts(text);
  return (
    <>
      {thoughts !== undefined && (
        <details class="thoughts">
          <summary>
            {!thinking ? 'Thoughts' : growing ? 'Thinking …' : 'Thoughts, not finished'}
          </summary>
          <p>{thoughts}</p>
        </details>
      )}
      <p>{answer}</p>
    </>
  );
}

function UserActions({
  branch,
  message,
}: {
  readonly branch: string;
  readonly message: Message;
}): JSX.Element {
  return (
    <Row>
      <Versions branch={branch} message={message} />
      <IconButton
        icon="edit"
        label="Edit and send again"
        onClick={() => edit(branch, message.id)}
      />
      <IconButton icon="fork" label="Fork here" onClick={() => fork(branch, message.id)} />
    </Row>
  );
}

/** What can be done with an exchange: its last message is meant, editing means the user's. */
function Actions({
  branch,
  exchange,
}: {
  readonly branch: string;
  readonly exchange: Exchange;
}): JSX.Element {
  const { user, answers } = exchange;
  const last = answers.at(-1) ?? user;
  const chat = (user ?? last)?.format !== 'text';
  const first = answers.find(({ author }) => author === 'model');
  if (!last) return <></>;
  const text = [...(chat ? [] : [user?.fed ?? '']), ...answers.map((one) => one.text)].join('');
  return (
    <Row>
      {!chat && user && <Versions branch={branch} message={user} />}
      {first && <Versions branch={branch} message={first} />}
      {!chat && user && (
        <IconButton
          icon="edit"
          label="Edit and write again"
          onClick={() => edit(branch, user.id)}
        />
      )}
      {first && (
        <IconButton
          icon="retry"
          label="Write another version"
          disabled={!ready.value}
          onClick={() => void retry(branch, first.id)}
        />
      )}
      <IconButton icon="fork" label="Fork here" onClick={() => fork(branch, last.id)} />
      <IconButton
        icon="copy"
        label="Copy"
        onClick={() => {
          void navigator.clipboard?.writeText(text).then(
            () => (announcement.value = 'Copied'),
            () => {},
          );
        }}
      />
      {answers.at(-1)?.finish === 'broken' && <span class="broken">interrupted</span>}
    </Row>
  );
}

function Row({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return <div class="actions">{children}</div>;
}

/** Turns between the messages that stand in one place. */
function Versions({
  branch,
  message,
}: {
  readonly branch: string;
  readonly message: Message;
}): JSX.Element {
  const { messages } = conversation.value;
  const versions = versionsOf(messages, message);
  if (versions.length < 2) return <></>;
  const at = versions.indexOf(message);
  const show = (index: number): void => {
    showVersion(branch, newestBelow(messages, versions[index]!.id));
  };
  return (
    <span class="versions">
      <IconButton
        icon="back"
        label="Version before"
        disabled={at === 0}
        onClick={() => show(at - 1)}
      />
      <span>
        {at + 1}/{versions.length}
      </span>
      <IconButton
        icon="next"
        label="Version after"
        disabled={at === versions.length - 1}
        onClick={() => show(at + 1)}
      />
    </span>
  );
}
