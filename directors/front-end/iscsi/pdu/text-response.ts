/**
 * Text Response. RFC 7143 §11.11.
 */
import { type BhsOf, defineBhs, flag, u32, u64 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const TEXT_RESPONSE = defineBhs("Text Response", OPCODE.textResponse, {
  final: flag(1, 7),
  continue: flag(1, 6),
  lun: u64(8),
  initiatorTaskTag: u32(16),
  targetTransferTag: u32(20),
  statSN: u32(24),
  expCmdSN: u32(28),
  maxCmdSN: u32(32),
});
export type TEXT_RESPONSE = BhsOf<typeof TEXT_RESPONSE>;
