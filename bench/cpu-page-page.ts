/** What the benchmark `cpu-page` calls in a page. */
export { write } from '../packages/language/test/page.ts';

/** What of wllama is used. */
interface Wllama {
  loadModel(files: readonly Blob[], options: { n_ctx: number; n_threads: number }): Promise<void>;
  createCompletion(options: {
    prompt: string;
    max_tokens: number;
    temperature: number;
    ignore_eos: boolean;
  }): Promise<{ readonly timings?: { readonly predicted_per_second: number } }>;
  exit(): Promise<void>;
}

/** Tokens a second that wllama writes, as it measures them itself. */
export async function wllama(threads: number, count: number): Promise<number> {
  const address = '/wllama/index.js';
  const module = (await import(address)) as {
    Wllama: new (paths: { default: string }, options: object) => Wllama;
  };
  const engine = new module.Wllama(
    { default: new URL('/wllama/wasm/wllama.wasm', location.href).href },
    { suppressNativeLog: true },
  );
  const model = await (await fetch('/model.gguf')).blob();
  await engine.loadModel([model], { n_ctx: 2048, n_threads: threads });
  const { timings } = await engine.createCompletion({
    prompt: 'Once upon a time',
    max_tokens: count,
    temperature: 0,
    ignore_eos: true,
  });
  await engine.exit();
  if (!timings) throw new Error('wllama told no timings');
  return timings.predicted_per_second;
}
