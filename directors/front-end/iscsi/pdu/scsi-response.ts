/**
 * SCSI Response: status, residual count and sense of a task. RFC 7143 §11.4.
 */
import { type BhsOf, defineBhs, flag, u8, u32 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const SCSI_RESPONSE = defineBhs("SCSI Response", OPCODE.scsiResponse, {
  final: flag(1, 7),
  bidirectionalReadOverflow: flag(1, 4),
  bidirectionalReadUnderflow: flag(1, 3),
  overflow: flag(1, 2),
  underflow: flag(1, 1),
  response: u8(2),
  status: u8(3),
  initiatorTaskTag: u32(16),
  snackTag: u32(20),
  statSN: u32(24),
  expCmdSN: u32(28),
  maxCmdSN: u32(32),
  expDataSN: u32(36), // R2Ts and Data-Ins sent for the command
  bidirectionalReadResidualCount: u32(40),
  residualCount: u32(44), // bytes
});
export type SCSI_RESPONSE = BhsOf<typeof SCSI_RESPONSE>;
