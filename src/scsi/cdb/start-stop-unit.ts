/** START STOP UNIT (SBC-3 §5.25). */
import { defineCdb } from "./define-cdb.ts";
import { bit, bits } from "./field.ts";

export const START_STOP_UNIT = defineCdb(
  "START STOP UNIT",
  { opcode: 0x1b, lengthBytes: 6, direction: "none" },
  { immed: bit(1, 0), powerCondition: bits(4, 7, 4), noFlush: bit(4, 2), loej: bit(4, 1), start: bit(4, 0) },
);
