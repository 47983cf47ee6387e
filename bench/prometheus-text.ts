/** Reads the text format of a scrape, and tells what was counted between two. */

/** Series as Prometheus writes them, `name{label="value",…}`, with their values. */
export type Scrape = ReadonlyMap<string, number>;

/** Samples only; comments, types and time stamps are left out. */
export function parseScrape(text: string): Scrape {
  const scrape = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    // A label's value may hold blanks and braces: the name ends at the last brace, or at the first blank where there is none.
    const end = line.includes("{") ? line.lastIndexOf("}") + 1 : line.indexOf(" ");
    const value = Number(line.slice(end).trim().split(" ")[0]);
    if (end > 0 && !Number.isNaN(value)) scrape.set(line.slice(0, end), value);
  }
  return scrape;
}

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export function parseSeries(text: string): Series {
  const brace = text.indexOf("{");
  if (brace < 0) return { name: text, labels: {} };
  const pairs = text.slice(brace).matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g);
  return { name: text.slice(0, brace), labels: Object.fromEntries([...pairs].map(([, label, value]) => [label!, value!])) };
}

/** What changed, where something did. */
export function difference(before: Scrape, after: Scrape): Map<string, number> {
  const changed = new Map<string, number>();
  for (const [series, value] of after) {
    const delta = value - (before.get(series) ?? 0);
    if (delta !== 0) changed.set(series, delta);
  }
  return changed;
}

/** The sum of all series of `name` whose labels include `labels`. */
export function total(
  scrape: ReadonlyMap<string, number> | Readonly<Record<string, number>>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  let result = 0;
  for (const [text, value] of scrape instanceof Map ? scrape : Object.entries(scrape)) {
    if (!text.startsWith(name)) continue;
    const series = parseSeries(text);
    if (series.name === name && Object.entries(labels).every(([label, wanted]) => series.labels[label] === wanted))
      result += value;
  }
  return result;
}
