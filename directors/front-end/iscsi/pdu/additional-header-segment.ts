/**
 * Additional Header Segments, RFC 7143 §11.2.2: AHSLength (2), AHSType (1), AHSSpecific (AHSLength bytes), padded to 4.
 */
import { readU16 } from "./hot-path.ts";

/** AHSType, §11.2.2.2. */
const AHS_TYPE = { extendedCdb: 1, bidirectionalReadLength: 2 } as const;

export type AhsVerdict = "good" | "pastEnd" | "unknownType";

/** Walks the segments; `bytes` is TotalAHSLength in bytes, already bounded by one byte of header. */
export function checkAhs(header: Uint8Array, at: number, bytes: number): AhsVerdict {
  let offset = 0;
  while (offset < bytes) {
    if (bytes - offset < 4) return "pastEnd";
    const length = readU16(header, at + offset);
    const type = header[at + offset + 2]!;
    const taken = (3 + length + 3) & ~3;
    if (length === 0 || taken > bytes - offset) return "pastEnd";
    if (type !== AHS_TYPE.extendedCdb && type !== AHS_TYPE.bidirectionalReadLength) return "unknownType";
    offset += taken;
  }
  return "good";
}
