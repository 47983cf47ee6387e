/**
 * Hand-written accessors for the PDUs of the data path: SCSI Command, Data-Out, Data-In, R2T, SCSI Response.
 *
 * The tables beside this file stay the reference: test/golden holds both against the same bytes. Every writer expects
 * 48 zeroed bytes at `at`.
 */
import { OPCODE } from "./opcode.ts";

export const FINAL = 0x80;
/** Byte 1 of a SCSI Command, RFC 7143 §11.3.1. */
export const COMMAND_READ = 0x40;
export const COMMAND_WRITE = 0x20;
export const COMMAND_ATTRIBUTE_MASK = 0x07;
/** Byte 1 of Data-In and SCSI Response, §11.4.1 and §11.7.1. */
export const RESIDUAL_OVERFLOW = 0x04;
export const RESIDUAL_UNDERFLOW = 0x02;
export const STATUS_PRESENT = 0x01;

export function readU16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function readU24(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
}

function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function writeU24(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 16;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value;
}

/** DataSegmentLength of any PDU, §11.2.1.6. */
export const dataSegmentLengthOf = (bytes: Uint8Array, at: number): number => readU24(bytes, at + 5);
/** Bytes of the additional header segments, §11.2.1.5. */
export const ahsBytesOf = (bytes: Uint8Array, at: number): number => bytes[at + 4]! * 4;
export const initiatorTaskTagOf = (bytes: Uint8Array, at: number): number => readU32(bytes, at + 16);
/** Target transfer tag of a Data-Out; expected data transfer length of a SCSI Command lies there too. */
export const targetTransferTagOf = (bytes: Uint8Array, at: number): number => readU32(bytes, at + 20);
export const expectedDataTransferLengthOf = (bytes: Uint8Array, at: number): number => readU32(bytes, at + 20);
export const cmdSNOf = (bytes: Uint8Array, at: number): number => readU32(bytes, at + 24);
export const expStatSNOf = (bytes: Uint8Array, at: number): number => readU32(bytes, at + 28);
export const dataSNOf = (bytes: Uint8Array, at: number): number => readU32(bytes, at + 36);
export const bufferOffsetOf = (bytes: Uint8Array, at: number): number => readU32(bytes, at + 40);

/** What every response carries beside its own fields. */
export interface SequenceNumbers {
  readonly statSN: number;
  readonly expCmdSN: number;
  readonly maxCmdSN: number;
}

function writeNumbers(bytes: Uint8Array, at: number, numbers: SequenceNumbers): void {
  writeU32(bytes, at + 24, numbers.statSN);
  writeU32(bytes, at + 28, numbers.expCmdSN);
  writeU32(bytes, at + 32, numbers.maxCmdSN);
}

export interface DataInFields {
  /** Byte 1: FINAL, and with STATUS_PRESENT the residual flags. */
  flags: number;
  status: number;
  initiatorTaskTag: number;
  dataSN: number;
  bufferOffset: number;
  residualCount: number;
  dataBytes: number;
}

/** Data-In, §11.7. StatSN is only there with the status. */
export function writeDataIn(bytes: Uint8Array, at: number, fields: DataInFields, numbers: SequenceNumbers): void {
  bytes[at] = OPCODE.dataIn;
  bytes[at + 1] = fields.flags;
  writeU24(bytes, at + 5, fields.dataBytes);
  writeU32(bytes, at + 16, fields.initiatorTaskTag);
  writeU32(bytes, at + 20, 0xffffffff);
  writeNumbers(bytes, at, numbers);
  if ((fields.flags & STATUS_PRESENT) !== 0) {
    bytes[at + 3] = fields.status;
    writeU32(bytes, at + 44, fields.residualCount);
  } else {
    writeU32(bytes, at + 24, 0);
  }
  writeU32(bytes, at + 36, fields.dataSN);
  writeU32(bytes, at + 40, fields.bufferOffset);
}

export interface ScsiResponseFields {
  /** RESIDUAL_OVERFLOW, RESIDUAL_UNDERFLOW or neither. */
  flags: number;
  status: number;
  initiatorTaskTag: number;
  expDataSN: number;
  residualCount: number;
  dataBytes: number;
}

/** SCSI Response with response code 0, command completed at target, §11.4. */
export function writeScsiResponse(bytes: Uint8Array, at: number, fields: ScsiResponseFields, numbers: SequenceNumbers): void {
  bytes[at] = OPCODE.scsiResponse;
  bytes[at + 1] = FINAL | fields.flags;
  bytes[at + 3] = fields.status;
  writeU24(bytes, at + 5, fields.dataBytes);
  writeU32(bytes, at + 16, fields.initiatorTaskTag);
  writeNumbers(bytes, at, numbers);
  writeU32(bytes, at + 36, fields.expDataSN);
  writeU32(bytes, at + 44, fields.residualCount);
}

export interface ReadyToTransferFields {
  initiatorTaskTag: number;
  targetTransferTag: number;
  r2tSN: number;
  bufferOffset: number;
  desiredDataTransferLength: number;
}

/** R2T, §11.8; `lun` is the eight bytes of the command. StatSN is the next one, and not advanced. */
export function writeReadyToTransfer(
  bytes: Uint8Array,
  at: number,
  fields: ReadyToTransferFields,
  lun: Uint8Array,
  numbers: SequenceNumbers,
): void {
  bytes[at] = OPCODE.readyToTransfer;
  bytes[at + 1] = FINAL;
  for (let i = 0; i < 8; i += 1) bytes[at + 8 + i] = lun[i]!;
  writeU32(bytes, at + 16, fields.initiatorTaskTag);
  writeU32(bytes, at + 20, fields.targetTransferTag);
  writeNumbers(bytes, at, numbers);
  writeU32(bytes, at + 36, fields.r2tSN);
  writeU32(bytes, at + 40, fields.bufferOffset);
  writeU32(bytes, at + 44, fields.desiredDataTransferLength);
}
