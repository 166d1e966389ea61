import type { Kernel } from '../kernel.ts';
import { flatGroup, float, gridOf, wgsl } from '../wgsl.ts';
import {
  chunkedScratch,
  chunkedTraffic,
  prepareChunks,
  preparingGrid,
  typesOf,
  walkChunks,
  walkingGrid,
  type ChunkedRecurrence,
} from './wkv7-chunks.wgsl.ts';

/**
 * `timeMix7Recur` over long sequences: the recurrence in chunks (wkv7-chunks.wgsl.ts), with the normalisation of
 * keys before it, and after it a pass for head normalisation, bonus and gate.
 */
export function timeMix7RecurInChunks(sizes: ChunkedRecurrence, epsilon: number): Kernel {
  const { tokens, heads, n } = sizes;
  const quads = n / 4;
  const threads = 4 * n;
  const width = heads * n;
  // The last pass reads receptance, key, value, rate and the result again.
  const again = chunkedTraffic(sizes);
  const rows = 4 * tokens * width;
  /** Sum of a variable over the threads of a head; `kept` is memory of the work group. */
  const total = (kept: string): string =>
    `for (var p = 0u; p < ${quads}u; p++) { ${kept}_total += ${kept}_parts[thread / ${quads}u * ${quads}u + p]; }`;
  const entering = (key: string, perHead: string): string =>
    `${key} + (${key} * learning - ${key}) * ${perHead}[${width / 4}u + head_at]`;
  return {
    scratchBytes: chunkedScratch(sizes),
    again: { bytesRead: again.bytesRead + 5 * rows, bytesWritten: again.bytesWritten + rows },
    passes: [
      {
        ...preparingGrid(sizes),
        uses: { arguments: [0, 1, 2, 3, 4, 6, 8], scratch: 'f32' },
        types: typesOf([0, 1, 2, 4, 6]),
        source: ({ inputs: [receptance, decay, k, v, rate, , perHead, , offsets], scratch }) =>
          prepareChunks(sizes, {
            offsets: offsets!,
            scratch,
            v: v!,
            module: `var<workgroup> square_parts: array<f32, ${threads}>;`,
            load: wgsl`
  let key = ${k!.name}[at];
  let learning = ${rate!.name}[at];
  r = ${receptance!.name}[at];
  decay = ${decay!.name}[at];
  let scaled = key * ${perHead!.name}[head_at];
  square_parts[thread] = dot(scaled, scaled);
  workgroupBarrier();
  var square_total = 0.0;
  ${total('square')}
  let kappa = scaled / max(sqrt(square_total), 1e-12);
  k = ${entering('key', perHead!.name)};
  a = -kappa;
  b = kappa * learning;`,
          }),
      },
      {
        ...walkingGrid(sizes),
        uses: { arguments: [3, 7, 8, 9, 10], scratch: 'vec4<f32>' },
        types: typesOf([7, 10]),
        source: ({ inputs: [, , , v, , , , state, offsets], outputs: [y, next], scratch }) =>
          walkChunks(sizes, {
            offsets: offsets!,
            scratch,
            v: v!,
            state: state!,
            y: y!,
            next: next!,
          }),
      },
      {
        grid: gridOf(Math.ceil((tokens * heads) / 16)),
        threads,
        uses: { arguments: [0, 2, 3, 4, 5, 6, 9], scratch: undefined },
        types: typesOf([0, 2, 3, 4, 5, 6, 9]),
        source: ({ inputs: [r, , k, v, rate, gate, perHead], outputs: [y] }) => ({
          module: wgsl`
var<workgroup> sum_parts: array<vec2f, ${threads}>;
var<workgroup> square_parts: array<f32, ${threads}>;`,
          main: wgsl`
  let pair = ${flatGroup} * 16u + thread / ${quads}u;
  let is_real = pair < ${tokens * heads}u;
  let q = thread % ${quads}u;
  let head_at = pair % ${heads}u * ${quads}u + q;
  let at = min(pair, ${tokens * heads - 1}u) * ${quads}u + q;
  let key = ${k!.name}[at];
  let learning = ${rate!.name}[at];
  let own = ${y!.name}[at];
  let entering = ${entering('key', perHead!.name)};
  sum_parts[thread] = vec2f(dot(own, vec4f(1.0)),
    dot(${r!.name}[at] * entering, ${perHead!.name}[${width / 2}u + head_at]));
  workgroupBarrier();
  var sum_total = vec2f();
  ${total('sum')}
  let centred = own - sum_total.x / ${float(n)};
  square_parts[thread] = dot(centred, centred);
  workgroupBarrier();
  var square_total = 0.0;
  ${total('square')}
  let normed = centred / sqrt(square_total / ${float(n)} + ${float(epsilon)}) *
    ${perHead!.name}[${(3 * width) / 4}u + head_at] + ${perHead!.name}[${width}u + head_at];
  if (is_real) { ${y!.name}[at] = (normed + sum_total.y * ${v!.name}[at]) * ${gate!.name}[at]; }`,
        }),
      },
    ],
  };
}
