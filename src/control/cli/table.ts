/** Tables and sizes for people: aligned columns, numbers to the right, no colours. */

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string | number;
}

export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map(({ value }) => value(row)));
  const widths = columns.map(({ title }, index) => Math.max(title.length, ...cells.map((row) => String(row[index]).length)));
  const line = (values: readonly (string | number)[]) =>
    values
      .map((value, index) => (typeof value === "number" ? String(value).padStart(widths[index]!) : value.padEnd(widths[index]!)))
      .join("  ")
      .trimEnd();
  return [columns.map(({ title }) => title), ...cells].map((row) => `${line(row)}\n`).join("");
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** "16 GiB", "1.5 GiB", "512 B". */
export function readableBytes(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export function percent(part: number, whole: number): string {
  return whole > 0 ? `${Math.round((100 * part) / whole)} %` : "-";
}
