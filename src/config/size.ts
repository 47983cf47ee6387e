/**
 * Sizes as people write them: "512MiB", "16 GiB", "4096".
 *
 * Binary units only: a drive of "16GB" would be ambiguous by 7 %, so the decimal spelling is refused, not guessed.
 */
const UNIT_BYTES: Readonly<Record<string, number>> = { "": 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
const SIZE = /^(\d{1,16})(?:\.(\d{1,6}))? ?(B|KiB|MiB|GiB|TiB)?$/;

/** Bytes, or undefined where `text` is no size or not a whole, safe number of bytes. */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text.trim());
  if (match === null) return undefined;
  const unitBytes = UNIT_BYTES[match[3] ?? ""]!;
  const bytes = Number(match[1]) * unitBytes + Number(`0.${match[2] ?? "0"}`) * unitBytes;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The shortest exact spelling: 536870912 → "512MiB", 1000 → "1000". */
export function formatSize(bytes: number): string {
  for (const unit of ["TiB", "GiB", "MiB", "KiB"] as const) {
    const unitBytes = UNIT_BYTES[unit]!;
    if (bytes >= unitBytes && bytes % unitBytes === 0) return `${bytes / unitBytes}${unit}`;
  }
  return String(bytes);
}
