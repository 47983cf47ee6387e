/** VERIFY(10), (12) and (16) (SBC-3 §5.31 to §5.33). Takes data only when BYTCHK says so; VRPROTECT must be zero. */
import { verifyOut } from "./data-out-rules.ts";
import { defineCdb } from "./define-cdb.ts";
import { bit, bits, u16, u32, u64, unused } from "./field.ts";

const flags = { vrprotect: unused(bits(1, 7, 5)), dpo: bit(1, 4), bytchk: bits(1, 2, 1) };

/** `transferLength` is the standard's VERIFICATION LENGTH, named as in the other block commands so that one check serves all. */
const fields10 = { ...flags, logicalBlockAddress: u32(2), groupNumber: unused(bits(6, 4, 0)), transferLength: u16(7) };
export const VERIFY_10 = defineCdb(
  "VERIFY(10)",
  { opcode: 0x2f, lengthBytes: 10, direction: "none", dataOut: verifyOut(fields10) },
  fields10,
);

const fields12 = { ...flags, logicalBlockAddress: u32(2), transferLength: u32(6), groupNumber: unused(bits(10, 4, 0)) };
export const VERIFY_12 = defineCdb(
  "VERIFY(12)",
  { opcode: 0xaf, lengthBytes: 12, direction: "none", dataOut: verifyOut(fields12) },
  fields12,
);

const fields16 = { ...flags, logicalBlockAddress: u64(2), transferLength: u32(10), groupNumber: unused(bits(14, 4, 0)) };
export const VERIFY_16 = defineCdb(
  "VERIFY(16)",
  { opcode: 0x8f, lengthBytes: 16, direction: "none", dataOut: verifyOut(fields16) },
  fields16,
);
