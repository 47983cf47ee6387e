/**
 * Ready To Transfer: the target asks for one burst of write data. RFC 7143 §11.8.
 */
import { type BhsOf, defineBhs, flag, u32, u64 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const R2T = defineBhs("R2T", OPCODE.readyToTransfer, {
  final: flag(1, 7),
  lun: u64(8),
  initiatorTaskTag: u32(16),
  targetTransferTag: u32(20),
  statSN: u32(24), // the next one; not advanced
  expCmdSN: u32(28),
  maxCmdSN: u32(32),
  r2tSN: u32(36),
  bufferOffset: u32(40), // bytes into the write data of the command
  desiredDataTransferLength: u32(44), // bytes, 1 … MaxBurstLength
});
export type R2T = BhsOf<typeof R2T>;
