/** SYNCHRONIZE CACHE(10) and (16) (SBC-3 §5.26, §5.27). Number of blocks 0: up to the last one. */
import { defineCdb } from "./define-cdb.ts";
import { bit, bits, u16, u32, u64, unused } from "./field.ts";

export const SYNCHRONIZE_CACHE_10 = defineCdb(
  "SYNCHRONIZE CACHE(10)",
  { opcode: 0x35, lengthBytes: 10, direction: "none" },
  { immed: bit(1, 1), logicalBlockAddress: u32(2), groupNumber: unused(bits(6, 4, 0)), transferLength: u16(7) },
);

export const SYNCHRONIZE_CACHE_16 = defineCdb(
  "SYNCHRONIZE CACHE(16)",
  { opcode: 0x91, lengthBytes: 16, direction: "none" },
  { immed: bit(1, 1), logicalBlockAddress: u64(2), transferLength: u32(10), groupNumber: unused(bits(14, 4, 0)) },
);
