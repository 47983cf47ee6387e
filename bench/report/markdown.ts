/** Tables and figures as the page shows them. */

export type Align = "left" | "right";

/** Right-aligned unless said: most cells are figures. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  aligns: readonly Align[] = ["left"],
): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rule = headings.map((_, column) => ((aligns[column] ?? "right") === "left" ? "---" : "---:"));
  return [line(headings), line(rule), ...rows.map(line)].join("\n");
}

/** 138.6k, 9,505, 544: as many digits as a noisy figure is worth. */
export function rate(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return value >= 10_000 ? `${(value / 1000).toFixed(1)}k` : Math.round(value).toLocaleString("en-US");
}

export function fixed(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : "–";
}

export function percent(share: number): string {
  return Number.isFinite(share) ? `${(share * 100).toFixed(0)} %` : "–";
}

export function mebibytes(bytes: number): string {
  return Number.isFinite(bytes) ? `${(bytes / 2 ** 20).toFixed(0)} MiB` : "–";
}
