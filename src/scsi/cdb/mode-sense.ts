/** MODE SENSE(6) and (10) (SPC-4 §6.11, §6.12). */
import { defineCdb } from "./define-cdb.ts";
import { bit, bits, u8, u16 } from "./field.ts";

const page = { dbd: bit(1, 3), pageControl: bits(2, 7, 6), pageCode: bits(2, 5, 0), subpageCode: u8(3) };

export const MODE_SENSE_6 = defineCdb(
  "MODE SENSE(6)",
  { opcode: 0x1a, lengthBytes: 6, direction: "in" },
  { ...page, allocationLength: u8(4) },
);

export const MODE_SENSE_10 = defineCdb(
  "MODE SENSE(10)",
  { opcode: 0x5a, lengthBytes: 10, direction: "in" },
  { llbaa: bit(1, 4), ...page, allocationLength: u16(7) },
);
