/**
 * SCSI Data-Out: write data, unsolicited or in answer to an R2T. RFC 7143 §11.7.
 */
import { type BhsOf, defineBhs, flag, u32, u64 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const DATA_OUT = defineBhs("SCSI Data-Out", OPCODE.dataOut, {
  final: flag(1, 7),
  lun: u64(8),
  initiatorTaskTag: u32(16),
  targetTransferTag: u32(20),
  expStatSN: u32(28),
  dataSN: u32(36), // counts from 0 in each sequence
  bufferOffset: u32(40), // bytes into the write data of the command
});
export type DATA_OUT = BhsOf<typeof DATA_OUT>;
