/** At most `count` of the names, nearest in spelling to `wanted` first. For errors. */
export function nearNames(wanted: string, names: Iterable<string>, count = 3): string[] {
  const target = wanted.slice(0, longest);
  const ranked: { name: string; distance: number }[] = [];
  let seen = 0;
  for (const name of names) {
    // An error message is not worth more work than this.
    if (++seen > 10_000) break;
    if (name.length <= longest) ranked.push({ name, distance: editDistance(target, name) });
  }
  ranked.sort((a, b) => a.distance - b.distance);
  return ranked.slice(0, count).map(({ name }) => name);
}

const longest = 100;

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(change, previous[j] + 1, row[j - 1] + 1));
    }
    previous = row;
  }
  return previous[b.length];
}
