/** WRITE(6), (10), (12) and (16) (SBC-3 §5.34 to §5.37). WRPROTECT must be zero. WRITE(6): transfer length 0 is 256 blocks. */
import { blocksOut } from "./data-out-rules.ts";
import { defineCdb } from "./define-cdb.ts";
import { bit, bits, bitsThrough, u8, u16, u32, u64, unused } from "./field.ts";

export const WRITE_6_BLOCKS_OF_ZERO = 256;

const flags = { wrprotect: unused(bits(1, 7, 5)), dpo: bit(1, 4), fua: bit(1, 3) };

const fields6 = { logicalBlockAddress: bitsThrough(1, 4, 3), transferLength: u8(4) };
export const WRITE_6 = defineCdb(
  "WRITE(6)",
  { opcode: 0x0a, lengthBytes: 6, direction: "out", dataOut: blocksOut(fields6, WRITE_6_BLOCKS_OF_ZERO) },
  fields6,
);

const fields10 = { ...flags, logicalBlockAddress: u32(2), groupNumber: unused(bits(6, 4, 0)), transferLength: u16(7) };
export const WRITE_10 = defineCdb(
  "WRITE(10)",
  { opcode: 0x2a, lengthBytes: 10, direction: "out", dataOut: blocksOut(fields10) },
  fields10,
);

const fields12 = { ...flags, logicalBlockAddress: u32(2), transferLength: u32(6), groupNumber: unused(bits(10, 4, 0)) };
export const WRITE_12 = defineCdb(
  "WRITE(12)",
  { opcode: 0xaa, lengthBytes: 12, direction: "out", dataOut: blocksOut(fields12) },
  fields12,
);

const fields16 = { ...flags, logicalBlockAddress: u64(2), transferLength: u32(10), groupNumber: unused(bits(14, 4, 0)) };
export const WRITE_16 = defineCdb(
  "WRITE(16)",
  { opcode: 0x8a, lengthBytes: 16, direction: "out", dataOut: blocksOut(fields16) },
  fields16,
);
