/**
 * Sense data: one table of what this target reports, and the encoders for fixed and descriptor format.
 *
 * Runs on: any thread. Owns: nothing.
 * Invariants:
 *  1. Sense data never exceeds SENSE_BYTES_MAX.
 *  2. INFORMATION is marked VALID only when the whole LBA fits (fixed format: 32 bits).
 */
import { type ScsiTask, SENSE_BYTES_MAX, STATUS } from "./task.ts";

export interface SenseCode {
  readonly key: number;
  readonly asc: number;
  readonly ascq: number;
}

/** Codes from SPC-4 table F.2 unless another source is named. */
export const SENSE = {
  noSense: { key: 0x0, asc: 0x00, ascq: 0x00 },
  /** 2/04/03: LOGICAL UNIT NOT READY, MANUAL INTERVENTION REQUIRED. */
  manualInterventionRequired: { key: 0x2, asc: 0x04, ascq: 0x03 },
  /** 2/04/0A: LOGICAL UNIT NOT ACCESSIBLE, ASYMMETRIC ACCESS STATE TRANSITION (SPC-4 §5.15.2.4.7). */
  accessStateTransition: { key: 0x2, asc: 0x04, ascq: 0x0a },
  /** 2/04/0C: LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN UNAVAILABLE STATE (SPC-4 §5.15.2.4.5). */
  targetPortInUnavailableState: { key: 0x2, asc: 0x04, ascq: 0x0c },
  unrecoveredReadError: { key: 0x3, asc: 0x11, ascq: 0x00 },
  internalTargetFailure: { key: 0x4, asc: 0x44, ascq: 0x00 },
  /** 5/0E/03: the Data-Out buffer is not what the CDB asks for. */
  invalidFieldInCommandInformationUnit: { key: 0x5, asc: 0x0e, ascq: 0x03 },
  parameterListLengthError: { key: 0x5, asc: 0x1a, ascq: 0x00 },
  invalidCommandOperationCode: { key: 0x5, asc: 0x20, ascq: 0x00 },
  logicalBlockAddressOutOfRange: { key: 0x5, asc: 0x21, ascq: 0x00 },
  invalidFieldInCdb: { key: 0x5, asc: 0x24, ascq: 0x00 },
  logicalUnitNotSupported: { key: 0x5, asc: 0x25, ascq: 0x00 },
  invalidFieldInParameterList: { key: 0x5, asc: 0x26, ascq: 0x00 },
  powerOnOrReset: { key: 0x6, asc: 0x29, ascq: 0x00 },
  busDeviceReset: { key: 0x6, asc: 0x29, ascq: 0x03 },
  modeParametersChanged: { key: 0x6, asc: 0x2a, ascq: 0x01 },
  asymmetricAccessStateChanged: { key: 0x6, asc: 0x2a, ascq: 0x06 },
  capacityDataHasChanged: { key: 0x6, asc: 0x2a, ascq: 0x09 },
  reportedLunsDataHasChanged: { key: 0x6, asc: 0x3f, ascq: 0x0e },
  /** 7/27/00: WRITE PROTECTED (SBC-3 §4.9). */
  writeProtected: { key: 0x7, asc: 0x27, ascq: 0x00 },
  /** 7/27/07: SPACE ALLOCATION FAILED WRITE PROTECT (SBC-3 §4.7.3.6). */
  spaceAllocationFailed: { key: 0x7, asc: 0x27, ascq: 0x07 },
  miscompareDuringVerify: { key: 0xe, asc: 0x1d, ascq: 0x00 },
  // Raised by transports (RFC 7143 §11.4.7.2).
  unexpectedUnsolicitedData: { key: 0xb, asc: 0x0c, ascq: 0x0c },
  notEnoughUnsolicitedData: { key: 0xb, asc: 0x0c, ascq: 0x0d },
  protocolServiceCrcError: { key: 0xb, asc: 0x47, ascq: 0x05 },
  overlappedCommandsAttempted: { key: 0xb, asc: 0x4e, ascq: 0x00 },
} as const satisfies Record<string, SenseCode>;
export type SenseName = keyof typeof SENSE;

/** Where the wrong field begins (SPC-4 §4.5.2.4.2). */
interface FieldPointer {
  /** In the CDB; else in the parameter list. */
  readonly inCdb: boolean;
  readonly byte: number;
  /** Most significant bit of the field in that byte; absent: the whole byte. */
  readonly bit?: number;
}

export interface SenseDetail {
  /** INFORMATION: the first logical block that the sense is about. */
  readonly lba?: bigint;
  readonly field?: FieldPointer;
}

const FIXED_BYTES = 18;

/** SPC-4 §4.5.3, response code 70h. Returns its length. */
export function encodeFixedSense(out: Uint8Array, sense: SenseCode, detail?: SenseDetail): number {
  out.fill(0, 0, FIXED_BYTES);
  out[0] = 0x70;
  out[2] = sense.key;
  out[7] = FIXED_BYTES - 8; // ADDITIONAL SENSE LENGTH
  out[12] = sense.asc;
  out[13] = sense.ascq;
  if (detail?.lba !== undefined && detail.lba <= 0xffff_ffffn) {
    out[0] |= 0x80; // VALID
    writeBigEndian(out, 3, 4, detail.lba);
  }
  if (detail?.field !== undefined) writeFieldPointer(out, 15, detail.field);
  return FIXED_BYTES;
}

/** SPC-4 §4.5.2, response code 72h. Returns its length. */
export function encodeDescriptorSense(out: Uint8Array, sense: SenseCode, detail?: SenseDetail): number {
  out.fill(0, 0, SENSE_BYTES_MAX);
  out[0] = 0x72;
  out[1] = sense.key;
  out[2] = sense.asc;
  out[3] = sense.ascq;
  let end = 8;
  if (detail?.lba !== undefined) {
    out[end] = 0x00; // Information
    out[end + 1] = 0x0a;
    out[end + 2] = 0x80; // VALID
    writeBigEndian(out, end + 4, 8, detail.lba);
    end += 12;
  }
  if (detail?.field !== undefined) {
    out[end] = 0x02; // Sense key specific
    out[end + 1] = 0x06;
    writeFieldPointer(out, end + 4, detail.field);
    end += 8;
  }
  out[7] = end - 8;
  return end;
}

function writeFieldPointer(out: Uint8Array, at: number, field: FieldPointer): void {
  out[at] = 0x80 | (field.inCdb ? 0x40 : 0); // SKSV, C/D
  if (field.bit !== undefined) out[at]! |= 0x08 | field.bit; // BPV, BIT POINTER
  out[at + 1] = field.byte >> 8;
  out[at + 2] = field.byte & 0xff;
}

function writeBigEndian(out: Uint8Array, at: number, bytes: number, value: bigint): void {
  let rest = value;
  for (let i = bytes - 1; i >= 0; i -= 1) {
    out[at + i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
}

/** Ends a task's response as CHECK CONDITION with fixed-format sense: D_SENSE of the control mode page is 0. */
export function setCheckCondition(task: ScsiTask, name: SenseName, detail?: SenseDetail): void {
  task.status = STATUS.CHECK_CONDITION;
  task.senseBytes = encodeFixedSense(task.sense, SENSE[name], detail);
}
