import type { Argument } from '../argument.ts';
import type { Capabilities, Kernel, Pass } from '../kernel.ts';
import { flatGroup, float, gridOf, wgsl } from '../wgsl.ts';
import { offsetAt } from './sequences.ts';

/**
 * The recurrence of RWKV-7 in chunks of 16 tokens, the WY form of the specification (RWKV-7, chunked
 * forward), in two passes. The first has a work group for each chunk of each head, all side by side, and leaves
 * in the working memory what does not depend on the state:
 *
 *     (I − A_ab) W = Ā    (I − A_ab) U₀ = A_ak V    R′ = R̄ + A_rb W    Y₀ = A_rk V + A_rb U₀
 *
 * The second walks the chunks of a sequence, with a work group for some rows of a head's matrix, as rows need
 * nothing of each other:
 *
 *     U = U₀ + W Sᵀ    Y = Y₀ + R′ Sᵀ    S ← S diag(decay of the chunk) + Vᵀ K̃ + Uᵀ B̃
 *
 * So a sequence is as many steps as it has chunks, and few heads occupy four times as many work groups.
 *
 * Decays are multiplied, not added as logarithms, from the middle of the chunk: factors of the rows are
 * products of eight of them at most, and their inverses. RWKV-7 has decays above 0.545, so they stay below
 * 129; one below 2⁻¹⁴ counts as that, and none overflows.
 */
export interface ChunkedRecurrence {
  readonly tokens: number;
  readonly slots: number;
  readonly heads: number;
  /** Channels of a head: 16, 32 or 64. */
  readonly n: number;
}

const length = 16;
const middle = length / 2;
/** Rows of a head's matrix that a work group of the second pass walks with. */
const rowsOfGroup = 16;
const leastDecay = 2 ** -14;

/** Places for chunks: sequence s begins at ⌊start / 16⌋ + s, behind the chunks of the one before it. */
function chunksOf({ tokens, slots }: ChunkedRecurrence): number {
  return Math.floor(tokens / length) + slots;
}

/** Floats of a chunk of a head: W, R′, U₀, Y₀, K̃, B̃ [16, n], and the decay of the chunk [n]. */
function blockOf(n: number): number {
  return 6 * length * n + n;
}

/** Bytes of the working memory. */
export function chunkedScratch(sizes: ChunkedRecurrence): number {
  return 4 * chunksOf(sizes) * sizes.heads * blockOf(sizes.n);
}

/** What is moved beyond arguments and results: the working memory, of which rows' groups read most alike. */
export function chunkedTraffic(sizes: ChunkedRecurrence): NonNullable<Kernel['again']> {
  const { tokens, heads, n } = sizes;
  const written = chunkedScratch(sizes);
  const shared = (4 * length * n + n) / blockOf(n);
  const values = 4 * tokens * heads * n;
  return {
    bytesRead: written * (1 + shared * (n / rowsOfGroup - 1)) + values,
    bytesWritten: written,
  };
}

/**
 * Whether a recurrence runs in chunks: where they are possible, and where they won when they were measured
 * (docs/performance.md, WebGPU). With more heads the token by token kernel fills an adapter by itself, and of
 * fewer tokens there is too little to win for what the longer texts take to compile. Whose the tokens are is
 * not known here: several sequences of one length would do better without, one among idle slots much worse.
 */
export function takesChunks(
  sizes: ChunkedRecurrence,
  { threads, workgroupMemory, largestBinding }: Capabilities,
): boolean {
  const { tokens, slots, heads, n } = sizes;
  const pays = tokens >= 256 && tokens >= 32 * slots && heads <= 64;
  return (
    pays &&
    [16, 32, 64].includes(n) &&
    threads >= 4 * n &&
    workgroupMemory >= 32768 &&
    chunkedScratch(sizes) <= largestBinding
  );
}

/** Names of the vectors of one token in the text of {@link prepareChunks}. */
const tokenVectors = ['r', 'decay', 'k', 'a', 'b'] as const;

/**
 * The first pass. It has two variables of the kernel's own text: `at`, the place of a thread's four channels
 * among the vectors of the rows, and `head_at`, among those of a head; and where a token is, `is_real`.
 *
 * @param load statements that set the `vec4f` variables r, decay, k, a, b; all threads run them
 */
export function prepareChunks(
  sizes: ChunkedRecurrence,
  {
    offsets,
    scratch,
    module = '',
    load,
    v,
  }: {
    readonly offsets: Argument;
    readonly scratch: string;
    readonly module?: string;
    readonly load: string;
    readonly v: Argument;
  },
): { readonly module: string; readonly main: string } {
  const { tokens, slots, heads, n } = sizes;
  const width = heads * n;
  const quads = n / 4;
  const threads = length * quads;
  // Rows of the four factors lie a vector apart more than they are long: neighbours are in other banks.
  const stride = quads + 1;
  const factors = length * stride;
  const range = Array.from({ length }, (_, t) => t);
  const [ab, ak, rb, rk] = [0, 1, 2, 3].map((i) => i * length * 4) as [
    number,
    number,
    number,
    number,
  ];
  const element = (factor: number): string =>
    `factors[${factor * factors}u + t * ${stride}u + (i >> 2u)][i & 3u]`;
  /** A row of a product of factors times a column; of a lower triangle, so later parts add nothing. */
  const row = (product: number, t: number | 't', column: 'v' | 'x'): string =>
    [0, 1, 2, 3]
      .slice(0, t === 't' ? 4 : Math.floor(t / 4) + 1)
      .map((part) =>
        t === 't'
          ? `dot(products[${product + part}u + 4u * t], ${column}_${part})`
          : `dot(products[${product + part + 4 * t}u], ${column}_${part})`,
      )
      .join(' + ');
  const valueOf = (t: number): string =>
    `select(0.0, ${component(v, `values_at + ${width}u * min(${t}u, count - 1u)`)}, ${t}u < count)`;
  return {
    module: wgsl`
// Ā, R̄, B̲, K̲ by the middle of the chunk, and the four matrices of their products.
var<workgroup> factors: array<vec4f, ${4 * factors}>;
var<workgroup> products: array<vec4f, ${16 * length}>;
var<workgroup> decays: array<vec4f, ${threads}>;
// Decays of the chunk up to its middle, and from there on.
var<workgroup> halves: array<vec4f, ${2 * quads}>;
// A_ak V, a column to a thread.
var<workgroup> right_sides: array<f32, ${length * n}>;
var<workgroup> bounds: vec2u;
fn right_side(t: u32, i: u32, is_value: bool, of_state: f32) -> f32 {
  if (is_value) { return right_sides[t * ${n}u + i]; }
  return ${element(0)} * of_state;
}
${module}`,
    main: wgsl`
  let place = ${flatGroup};
  let head = place % ${heads}u;
  let chunk = place / ${heads}u;
  if (thread == 0u) {
    // The last sequence that begins at or before this place.
    var low = 0u;
    var high = ${slots}u;
    while (high - low > 1u) {
      let half = (low + high) / 2u;
      if (${offsetAt(offsets, 'half', tokens)} / ${length}u + half <= chunk) { low = half; } else { high = half; }
    }
    let start = ${offsetAt(offsets, 'low', tokens)};
    bounds = vec2u(start + (chunk - start / ${length}u - low) * ${length}u, ${offsetAt(offsets, 'low + 1u', tokens)});
  }
  let range = workgroupUniformLoad(&bounds);
  if (chunk >= ${chunksOf(sizes)}u || range.x >= range.y) { return; }
  let t = thread / ${quads}u;
  let q = thread % ${quads}u;
  let is_real = range.x + t < range.y;
  let head_at = head * ${quads}u + q;
  let at = min(range.x + t, range.y - 1u) * ${width / 4}u + head_at;
  ${tokenVectors.map((name) => `var ${name} = vec4f();`).join(' ')}
  ${load}
  // A token that is not there changes nothing.
  if (!is_real) { ${tokenVectors.map((name) => `${name} = vec4f(${name === 'decay' ? '1.0' : ''});`).join(' ')} }
  decays[thread] = max(decay, vec4f(${float(leastDecay)}));
  workgroupBarrier();
  // The decays between the middle of the chunk and this token, without its own.
  var between = vec4f(1.0);
  let until = select(t, ${middle}u, t < ${middle}u);
  for (var s = select(${middle}u, t + 1u, t < ${middle}u); s < until; s++) { between *= decays[s * ${quads}u + q]; }
  let own = between * decays[thread];
  if (t == 0u) { halves[q] = own; }
  if (t == ${length - 1}u) { halves[${quads}u + q] = own; }
  var before = between;
  var with_own = own;
  if (t < ${middle}u) {
    before = 1.0 / own;
    with_own = 1.0 / between;
  }
  let own_place = t * ${stride}u + q;
  factors[own_place] = a * before;
  factors[${factors}u + own_place] = r * with_own;
  factors[${2 * factors}u + own_place] = b / with_own;
  factors[${3 * factors}u + own_place] = k / with_own;
  workgroupBarrier();
  for (var e = thread; e < ${16 * length}u; e += ${threads}u) {
    // A_ab, A_ak, A_rb, A_rk: four neighbours of a row; those with a have nothing on the diagonal.
    let which = e / ${4 * length}u;
    let row = (e / 4u) % ${length}u;
    let first = 4u * (e % 4u);
    let left = (which >> 1u) * ${factors}u + row * ${stride}u;
    let right = (2u + (which & 1u)) * ${factors}u + first * ${stride}u;
    var sums = vec4f();
    for (var j = 0u; j < ${quads}u; j++) {
      let x = factors[left + j];
      sums += vec4f(dot(x, factors[right + j]), dot(x, factors[right + ${stride}u + j]),
        dot(x, factors[right + ${2 * stride}u + j]), dot(x, factors[right + ${3 * stride}u + j]));
    }
    let limit = row + (which >> 1u);
    products[e] = select(vec4f(), sums, vec4u(first, first + 1u, first + 2u, first + 3u) < vec4u(limit));
  }
  workgroupBarrier();
  let block = (chunk * ${heads}u + head) * ${blockOf(n)}u;
  let i = thread % ${n}u;
  let first_half = halves[i >> 2u][i & 3u];
  let second_half = halves[${quads}u + (i >> 2u)][i & 3u];
  let is_value = thread >= ${n}u;
  let count = min(${length}u, range.y - range.x);
  ${[0, 1, 2, 3].map((part) => `var v_${part} = vec4f();`).join(' ')}
  if (thread < ${2 * n}u) {
    if (is_value) {
      let values_at = range.x * ${width}u + head * ${n}u + i;
      ${[0, 1, 2, 3]
        .map(
          (part) =>
            `v_${part} = vec4f(${[0, 1, 2, 3].map((c) => valueOf(4 * part + c)).join(', ')});`,
        )
        .join('\n      ')}
      // Zeros where no token is: rows of the solution follow from all of them.
      for (var t = 0u; t < ${length}u; t++) { right_sides[t * ${n}u + i] = ${row(ak, 't', 'v')}; }
    }
  } else {
    // K̃, B̃ and the decay of the chunk.
    let is_b = thread >= ${3 * n}u;
    let column = block + select(${4 * length * n}u, ${5 * length * n}u, is_b) + i;
    let from_factor = select(${3 * factors}u, ${2 * factors}u, is_b) + (i >> 2u);
    for (var t = 0u; t < ${length}u; t++) {
      ${scratch}[column + t * ${n}u] = factors[from_factor + t * ${stride}u][i & 3u] * second_half;
    }
    if (is_b) { ${scratch}[block + ${6 * length * n}u + i] = first_half * second_half; }
  }
  if (thread >= ${2 * n}u) { return; }
  // A thread for each column of [W | U₀], and of [R′ | Y₀] behind it; a row follows from those before it.
  let column = block + select(0u, ${2 * length * n}u, is_value) + i;
  let of_state = select(first_half, 0.0, is_value);
  ${[0, 1, 2, 3].map((part) => `var x_${part} = vec4f();`).join(' ')}
  ${range
    .map((t) => {
      const x = `x_${Math.floor(t / 4)}[${t % 4}]`;
      return `${x} = right_side(${t}u, i, is_value, of_state) + ${row(ab, t, 'x')}; ${scratch}[column + ${t * n}u] = ${x};`;
    })
    .join('\n  ')}
  for (var t = 0u; t < count; t++) {
    ${scratch}[column + ${length * n}u + t * ${n}u] = ${element(1)} * of_state + ${row(rk, 't', 'v')} + ${row(rb, 't', 'x')};
  }`,
  };
}

/** An element of an argument that is bound as numbers or as vectors of four. */
function component({ name, type }: Argument, place: string): string {
  return type === 'array<f32>' ? `${name}[${place}]` : `${name}[(${place}) >> 2u][(${place}) & 3u]`;
}

/** Work groups and threads of the first pass. */
export function preparingGrid(sizes: ChunkedRecurrence): Pick<Pass, 'grid' | 'threads'> {
  return { grid: gridOf(chunksOf(sizes) * sizes.heads), threads: 4 * sizes.n };
}

/** The second pass: y [tokens, width] as numbers, zero in padding rows, and the state, as vectors of four. */
export function walkChunks(
  sizes: ChunkedRecurrence,
  {
    offsets,
    scratch,
    v,
    state,
    y,
    next,
  }: {
    readonly offsets: Argument;
    readonly scratch: string;
    readonly v: Argument;
    readonly state: Argument;
    readonly y: Argument;
    readonly next: Argument;
  },
): { readonly module: string; readonly main: string } {
  const { tokens, slots, heads, n } = sizes;
  const width = heads * n;
  const quads = n / 4;
  const threads = rowsOfGroup * quads;
  const parts = n / rowsOfGroup;
  const stride = quads + 1;
  const block = blockOf(n) / 4;
  const vectors = length * quads;
  /** Text for each vector of [16, n] that a thread brings, or element of [16 tokens, rows] that it has. */
  const perVector = (text: (e: number) => string): string =>
    Array.from({ length: vectors / threads }, (_, e) => text(e)).join('\n    ');
  const perElement = (text: (e: number) => string): string =>
    Array.from({ length: (length * rowsOfGroup) / threads }, (_, e) => text(e)).join('\n    ');
  return {
    module: wgsl`
var<workgroup> w_of: array<vec4f, ${vectors}>;
var<workgroup> r_of: array<vec4f, ${vectors}>;
var<workgroup> k_of: array<vec4f, ${vectors}>;
var<workgroup> b_of: array<vec4f, ${vectors}>;
// A row lies a vector apart more than it is long: neighbours are in other banks.
var<workgroup> rows_of: array<vec4f, ${rowsOfGroup * stride}>;
var<workgroup> u_of: array<f32, ${length * rowsOfGroup}>;
var<workgroup> v_of: array<f32, ${length * rowsOfGroup}>;
var<workgroup> bounds: vec2u;`,
    main: wgsl`
  let place = ${flatGroup};
  if (place >= ${(slots + 1) * heads * parts}u) { return; }
  let first_row = place % ${parts}u * ${rowsOfGroup}u;
  let head = place / ${parts}u % ${heads}u;
  let slot = place / ${parts * heads}u;
  if (slot == ${slots}u) {
    let rows = ${offsetAt(offsets, 'slot', tokens)};
    for (var e = ${rowsOfGroup}u * rows + thread; e < ${rowsOfGroup * tokens}u; e += ${threads}u) {
      ${y.name}[e / ${rowsOfGroup}u * ${width}u + head * ${n}u + first_row + e % ${rowsOfGroup}u] = 0.0;
    }
    return;
  }
  if (thread == 0u) { bounds = vec2u(${offsetAt(offsets, 'slot', tokens)}, ${offsetAt(offsets, 'slot + 1u', tokens)}); }
  let range = workgroupUniformLoad(&bounds);
  let q = thread % ${quads}u;
  let own_row = thread / ${quads}u;
  let own_at = ((slot * ${heads}u + head) * ${n}u + first_row + own_row) * ${quads}u + q;
  var matrix = ${state.name}[own_at];
  var block = ((range.x / ${length}u + slot) * ${heads}u + head) * ${block}u;
  for (var start = range.x; start < range.y; start += ${length}u) {
    ${perVector(
      (e) => wgsl`{
      let at = thread + ${e * threads}u;
      w_of[at] = ${scratch}[block + at];
      r_of[at] = ${scratch}[block + ${vectors}u + at];
      k_of[at] = ${scratch}[block + ${4 * vectors}u + at];
      b_of[at] = ${scratch}[block + ${5 * vectors}u + at];
    }`,
    )}
    let whole = ${scratch}[block + ${6 * vectors}u + q];
    rows_of[own_row * ${stride}u + q] = matrix;
    ${perElement(
      (e) => wgsl`let e_${e} = thread + ${e * threads}u;
    let s_${e} = e_${e} / ${rowsOfGroup}u;
    let row_${e} = first_row + e_${e} % ${rowsOfGroup}u;
    let y_at_${e} = min(start + s_${e}, range.y - 1u) * ${width}u + head * ${n}u + row_${e};
    v_of[e_${e}] = select(0.0, ${component(v, `y_at_${e}`)}, start + s_${e} < range.y);
    let from_${e} = block + ${2 * vectors}u + s_${e} * ${quads}u + (row_${e} >> 2u);
    var u_${e} = ${scratch}[from_${e}][row_${e} & 3u];
    var y_${e} = ${scratch}[from_${e} + ${vectors}u][row_${e} & 3u];`,
    )}
    workgroupBarrier();
    ${perElement(
      (e) => wgsl`
    for (var j = 0u; j < ${quads}u; j++) {
      let old = rows_of[(e_${e} % ${rowsOfGroup}u) * ${stride}u + j];
      u_${e} += dot(w_of[s_${e} * ${quads}u + j], old);
      y_${e} += dot(r_of[s_${e} * ${quads}u + j], old);
    }
    u_of[e_${e}] = u_${e};
    if (start + s_${e} < range.y) { ${y.name}[y_at_${e}] = y_${e}; }`,
    )}
    workgroupBarrier();
    matrix *= whole;
    for (var s = 0u; s < ${length}u; s++) {
      let at = s * ${rowsOfGroup}u + own_row;
      matrix += v_of[at] * k_of[s * ${quads}u + q] + u_of[at] * b_of[s * ${quads}u + q];
    }
    workgroupBarrier();
    block += ${heads * block}u;
  }
  ${next.name}[own_at] = matrix;`,
  };
}

/** Work groups and threads of the second pass. */
export function walkingGrid({
  slots,
  heads,
  n,
}: ChunkedRecurrence): Pick<Pass, 'grid' | 'threads'> {
  return { grid: gridOf((slots + 1) * heads * (n / rowsOfGroup)), threads: rowsOfGroup * (n / 4) };
}

/** Arguments at these places as vectors of four. */
export function typesOf(places: readonly number[]): Readonly<Record<number, string>> {
  return Object.fromEntries(places.map((place) => [place, 'array<vec4<f32>>']));
}
