/**
 * NOP-In: the answer to a ping, or a ping of ours. RFC 7143 §11.19.
 */
import { type BhsOf, defineBhs, flag, u32, u64 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const NOP_IN = defineBhs("NOP-In", OPCODE.nopIn, {
  final: flag(1, 7),
  lun: u64(8),
  initiatorTaskTag: u32(16),
  targetTransferTag: u32(20),
  statSN: u32(24),
  expCmdSN: u32(28),
  maxCmdSN: u32(32),
});
export type NOP_IN = BhsOf<typeof NOP_IN>;
