/** WRITE AND VERIFY(10), (12) and (16) (SBC-3 §5.39 to §5.41). */
import { blocksOut } from "./data-out-rules.ts";
import { defineCdb } from "./define-cdb.ts";
import { bit, bits, u16, u32, u64, unused } from "./field.ts";

const flags = { wrprotect: unused(bits(1, 7, 5)), dpo: bit(1, 4), bytchk: bits(1, 2, 1) };

const fields10 = { ...flags, logicalBlockAddress: u32(2), groupNumber: unused(bits(6, 4, 0)), transferLength: u16(7) };
export const WRITE_AND_VERIFY_10 = defineCdb(
  "WRITE AND VERIFY(10)",
  { opcode: 0x2e, lengthBytes: 10, direction: "out", dataOut: blocksOut(fields10) },
  fields10,
);

const fields12 = { ...flags, logicalBlockAddress: u32(2), transferLength: u32(6), groupNumber: unused(bits(10, 4, 0)) };
export const WRITE_AND_VERIFY_12 = defineCdb(
  "WRITE AND VERIFY(12)",
  { opcode: 0xae, lengthBytes: 12, direction: "out", dataOut: blocksOut(fields12) },
  fields12,
);

const fields16 = { ...flags, logicalBlockAddress: u64(2), transferLength: u32(10), groupNumber: unused(bits(14, 4, 0)) };
export const WRITE_AND_VERIFY_16 = defineCdb(
  "WRITE AND VERIFY(16)",
  { opcode: 0x8e, lengthBytes: 16, direction: "out", dataOut: blocksOut(fields16) },
  fields16,
);
