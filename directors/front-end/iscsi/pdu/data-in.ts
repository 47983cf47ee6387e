/**
 * SCSI Data-In: read data, the last one perhaps with the status. RFC 7143 §11.7.
 */
import { type BhsOf, defineBhs, flag, u8, u32, u64 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const DATA_IN = defineBhs("SCSI Data-In", OPCODE.dataIn, {
  final: flag(1, 7),
  acknowledge: flag(1, 6),
  overflow: flag(1, 2),
  underflow: flag(1, 1),
  statusPresent: flag(1, 0),
  status: u8(3),
  lun: u64(8),
  initiatorTaskTag: u32(16),
  targetTransferTag: u32(20),
  statSN: u32(24), // only where statusPresent
  expCmdSN: u32(28),
  maxCmdSN: u32(32),
  dataSN: u32(36),
  bufferOffset: u32(40), // bytes into the read data of the command
  residualCount: u32(44), // bytes
});
export type DATA_IN = BhsOf<typeof DATA_IN>;
