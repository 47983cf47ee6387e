/**
 * SNACK Request: always rejected, ErrorRecoveryLevel being 0. RFC 7143 §11.16.
 */
import { type BhsOf, bits, defineBhs, flag, u32, u64 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const SNACK_REQUEST = defineBhs("SNACK Request", OPCODE.snackRequest, {
  final: flag(1, 7),
  type: bits(1, 0, 4),
  lun: u64(8),
  initiatorTaskTag: u32(16),
  targetTransferTag: u32(20),
  expStatSN: u32(28),
  begRun: u32(40),
  runLength: u32(44),
});
export type SNACK_REQUEST = BhsOf<typeof SNACK_REQUEST>;
