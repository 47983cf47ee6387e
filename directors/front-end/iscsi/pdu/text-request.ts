/**
 * Text Request: key=value pairs in full feature phase. RFC 7143 §11.10.
 */
import { type BhsOf, defineBhs, flag, u32, u64 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const TEXT_REQUEST = defineBhs("Text Request", OPCODE.textRequest, {
  final: flag(1, 7),
  continue: flag(1, 6),
  lun: u64(8),
  initiatorTaskTag: u32(16),
  targetTransferTag: u32(20),
  cmdSN: u32(24),
  expStatSN: u32(28),
});
export type TEXT_REQUEST = BhsOf<typeof TEXT_REQUEST>;
