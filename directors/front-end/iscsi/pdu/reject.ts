/**
 * Reject: a PDU that was not carried out; its header is the data segment. RFC 7143 §11.17.
 */
import { type BhsOf, defineBhs, flag, u8, u32 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const REJECT = defineBhs("Reject", OPCODE.reject, {
  final: flag(1, 7),
  reason: u8(2),
  initiatorTaskTag: u32(16), // always the reserved tag
  statSN: u32(24),
  expCmdSN: u32(28),
  maxCmdSN: u32(32),
  dataSN: u32(36), // R2TSN or DataSN, where a SNACK or Data-Out was rejected
});
export type REJECT = BhsOf<typeof REJECT>;
