/**
 * SCSI Command: starts a task, perhaps with immediate data. RFC 7143 §11.3.
 */
import { type BhsOf, bits, defineBhs, flag, hex, u32, u64 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const SCSI_COMMAND = defineBhs("SCSI Command", OPCODE.scsiCommand, {
  final: flag(1, 7),
  read: flag(1, 6),
  write: flag(1, 5),
  attribute: bits(1, 0, 3),
  lun: u64(8),
  initiatorTaskTag: u32(16),
  expectedDataTransferLength: u32(20), // bytes
  cmdSN: u32(24),
  expStatSN: u32(28),
  cdb: hex(32, 16),
});
export type SCSI_COMMAND = BhsOf<typeof SCSI_COMMAND>;
