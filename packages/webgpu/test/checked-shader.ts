/** A place in a shader that indexes an array. */
export interface Site {
  readonly array: string;
  readonly index: string;
  /** Elements of the array. */
  readonly count: number;
}

/** Violations that are kept with their place; of more there is just the number. */
export const mostKept = 64;

/** Words of the buffer that a checked shader writes to: the number of violations, then site and index of each. */
export const violationWords = 1 + 2 * mostKept;

const arrayDeclaration = /\bvar(?:<[^>]*>)? (\w+): array<(.+?), (\d+)>;/g;

/**
 * A shader that keeps every index within its array, and tells of each that was not: bindings, work group memory,
 * arrays of functions. Indexes that are plain numbers stay, as compilers check them.
 *
 * @param siteOf gives the number by which the shader tells of a site
 * @throws Error where two arrays of different lengths have one name.
 */
export function checkedShader(code: string, siteOf: (site: Site) => number): string {
  const counts = new Map<string, number>();
  for (const [, name, , count] of code.matchAll(arrayDeclaration)) {
    const known = counts.get(name!) ?? Number(count);
    if (known !== Number(count)) throw new Error(`two arrays of the shader are named ${name}`);
    counts.set(name!, known);
  }
  const checked = (text: string): string => {
    let done = '';
    let from = 0;
    for (const { 0: head, 1: name, index: at } of text.matchAll(/(?<![\w.])(\w+)\[/g)) {
      const count = counts.get(name!);
      if (count === undefined || at < from) continue;
      const open = at + head.length;
      const close = closingBracket(text, open);
      const index = text.slice(open, close);
      done += text.slice(from, open);
      done += /^\s*\d+u?\s*$/.test(index)
        ? index
        : `place_within(u32(${checked(index)}), ${count}u, ${siteOf({ array: name!, index, count })}u)`;
      from = close;
    }
    return done + text.slice(from);
  };
  const enabled = /^(?:enable .*\n)*/.exec(code)![0];
  const [entry, parameters] = /@compute (?:.*)\nfn main\((.*)\) \{/.exec(code) ?? [];
  if (entry === undefined) throw new Error('the shader has no entry point');
  const bare = parameters!.replaceAll(/@builtin\(\w+\) /g, '');
  const names = bare.split(', ').map((one) => one.split(':')[0]!);
  const body = code.slice(enabled.length).replace(entry, `fn unchecked_main(${bare}) {`);
  // The latest violation of a thread is told at its end: a branch at every site takes minutes to compile.
  return `${enabled}@group(1) @binding(0) var<storage, read_write> violations: array<atomic<u32>, ${violationWords}>;
const no_site = 0xffffffffu;
var<private> site_left: u32 = no_site;
var<private> place_left: u32;
fn place_within(place: u32, count: u32, site: u32) -> u32 {
  site_left = select(site_left, site, place >= count);
  place_left = select(place_left, place, place >= count);
  return min(place, count - 1u);
}
${checked(body)}
${entry}
  unchecked_main(${names.join(', ')});
  if (site_left != no_site) {
    let before = atomicAdd(&violations[0], 1u);
    if (before < ${mostKept}u) {
      atomicStore(&violations[1u + 2u * before], site_left);
      atomicStore(&violations[2u + 2u * before], place_left);
    }
  }
}
`;
}

/** The place of the bracket that closes what was opened before `from`. */
function closingBracket(text: string, from: number): number {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    if (text[at] === '[') depth++;
    if (text[at] === ']' && --depth === 0) return at;
  }
  throw new Error(`a bracket is not closed: ${text.slice(from, from + 80)}`);
}

/** A shader that finds garbage in the memory of its work groups: NaN, and large numbers. */
export function withGarbage(code: string): string {
  const structs = new Map<string, readonly string[]>();
  for (const [, name, fields] of code.matchAll(/\bstruct (\w+) \{ (.*?) \}/g)) {
    structs.set(
      name!,
      fields!.split(', ').map((field) => field.split(': ')[1]!),
    );
  }
  const garbage = (type: string): string => {
    const fields = structs.get(type);
    if (fields) return `${type}(${fields.map(garbage).join(', ')})`;
    if (type === 'u32') return 'garbage';
    // Not a constant: compilers refuse to make NaN of one.
    if (type === 'f32' || type === 'i32') return `bitcast<${type}>(garbage)`;
    if (type === 'f16') return 'bitcast<vec2<f16>>(garbage).x';
    const element = { f: 'f32', u: 'u32', i: 'i32' }[/^vec[234]([fui])$/.exec(type)?.[1] ?? ''];
    if (element) return `${type}(${garbage(element)})`;
    throw new Error(`no garbage is known for ${type}`);
  };
  const put = (place: string, type: string): string =>
    type === 'atomic<u32>' ? `atomicStore(&${place}, garbage);` : `${place} = ${garbage(type)};`;
  const threads = /@workgroup_size\((\d+)\)/.exec(code)![1]!;
  const filled = [...code.matchAll(/\bvar<workgroup> (\w+): (.*);/g)].map(([, name, type]) => {
    const [, element, count] = /^array<(.+), (\d+)>$/.exec(type!) ?? [];
    return element
      ? `for (var i = thread; i < ${count}u; i += ${threads}u) { ${put(`${name}[i]`, element)} }`
      : `if (thread == 0u) { ${put(name!, type!)} }`;
  });
  if (filled.length === 0) return code;
  const enabled = /^(?:enable .*\n)*/.exec(code)![0];
  const rest = code.slice(enabled.length);
  return `${enabled}var<private> garbage = 0x7fc0ffeeu;
${rest.replace(/\bfn main\(.*\) \{\n/, (head) => `${head}  ${filled.join('\n  ')}\n  workgroupBarrier();\n`)}`;
}
