/** PRE-FETCH(10) and (16) (SBC-3 §5.8, §5.9). Prefetch length 0: up to the last block. */
import { defineCdb } from "./define-cdb.ts";
import { bit, bits, u16, u32, u64, unused } from "./field.ts";

export const PRE_FETCH_10 = defineCdb(
  "PRE-FETCH(10)",
  { opcode: 0x34, lengthBytes: 10, direction: "none" },
  { immed: bit(1, 1), logicalBlockAddress: u32(2), groupNumber: unused(bits(6, 4, 0)), transferLength: u16(7) },
);

export const PRE_FETCH_16 = defineCdb(
  "PRE-FETCH(16)",
  { opcode: 0x90, lengthBytes: 16, direction: "none" },
  { immed: bit(1, 1), logicalBlockAddress: u64(2), transferLength: u32(10), groupNumber: unused(bits(14, 4, 0)) },
);
