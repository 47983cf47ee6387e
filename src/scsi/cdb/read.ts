/**
 * READ(6), (10), (12) and (16) (SBC-3 §5.10 to §5.13). RDPROTECT must be zero: the medium has no protection information.
 * RARC and GROUP NUMBER are hints that are not used. READ(6): transfer length 0 is 256 blocks.
 */
import { defineCdb } from "./define-cdb.ts";
import { bit, bits, bitsThrough, u8, u16, u32, u64, unused } from "./field.ts";

export const READ_6_BLOCKS_OF_ZERO = 256;

const flags = { rdprotect: unused(bits(1, 7, 5)), dpo: bit(1, 4), fua: bit(1, 3), rarc: unused(bit(1, 2)) };

export const READ_6 = defineCdb(
  "READ(6)",
  { opcode: 0x08, lengthBytes: 6, direction: "in" },
  { logicalBlockAddress: bitsThrough(1, 4, 3), transferLength: u8(4) },
);

export const READ_10 = defineCdb(
  "READ(10)",
  { opcode: 0x28, lengthBytes: 10, direction: "in" },
  { ...flags, logicalBlockAddress: u32(2), groupNumber: unused(bits(6, 4, 0)), transferLength: u16(7) },
);

export const READ_12 = defineCdb(
  "READ(12)",
  { opcode: 0xa8, lengthBytes: 12, direction: "in" },
  { ...flags, logicalBlockAddress: u32(2), transferLength: u32(6), groupNumber: unused(bits(10, 4, 0)) },
);

export const READ_16 = defineCdb(
  "READ(16)",
  { opcode: 0x88, lengthBytes: 16, direction: "in" },
  { ...flags, logicalBlockAddress: u64(2), transferLength: u32(10), groupNumber: unused(bits(14, 4, 0)) },
);
