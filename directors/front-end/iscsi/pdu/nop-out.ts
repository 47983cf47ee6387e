/**
 * NOP-Out: a ping from the initiator, or its answer to ours. RFC 7143 §11.18.
 */
import { type BhsOf, defineBhs, flag, u32, u64 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const NOP_OUT = defineBhs("NOP-Out", OPCODE.nopOut, {
  final: flag(1, 7),
  lun: u64(8),
  initiatorTaskTag: u32(16),
  targetTransferTag: u32(20),
  cmdSN: u32(24),
  expStatSN: u32(28),
});
export type NOP_OUT = BhsOf<typeof NOP_OUT>;
