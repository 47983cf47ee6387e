import { describe, expect, test } from "vitest";
import { encodeDescriptorSense, encodeFixedSense, SENSE, type SenseName } from "../../../src/scsi/sense.ts";
import { SENSE_BYTES_MAX } from "../../../src/scsi/task.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("sense data (SPC-4 §4.5)", () => {
  test("fixed format carries key, code, LBA and field pointer", () => {
    const out = new Uint8Array(SENSE_BYTES_MAX).fill(0xee);
    const bytes = encodeFixedSense(out, SENSE.logicalBlockAddressOutOfRange, {
      lba: 0x1234_5678n,
      field: { inCdb: true, byte: 2, bit: 7 },
    });
    expect(hex(out.subarray(0, bytes))).toBe("f00005123456780a00000000210000cf0002");
  });

  test("fixed format leaves out an LBA that does not fit", () => {
    const out = new Uint8Array(SENSE_BYTES_MAX);
    encodeFixedSense(out, SENSE.unrecoveredReadError, { lba: 0x1_0000_0000n });
    expect(hex(out.subarray(0, 8))).toBe("700003000000000a");
  });

  test("descriptor format carries the same in descriptors", () => {
    const out = new Uint8Array(SENSE_BYTES_MAX);
    const bytes = encodeDescriptorSense(out, SENSE.unrecoveredReadError, {
      lba: 0x1_0000_0000n,
      field: { inCdb: false, byte: 300 },
    });
    expect(hex(out.subarray(0, bytes))).toBe("7203110000000014" + "000a80000000000100000000" + "0206000080012c00");
    expect(bytes).toBeLessThanOrEqual(SENSE_BYTES_MAX);
  });

  test.each([
    ["invalidFieldInCdb", 5, 0x24, 0],
    ["invalidCommandOperationCode", 5, 0x20, 0],
    ["logicalUnitNotSupported", 5, 0x25, 0],
    ["parameterListLengthError", 5, 0x1a, 0],
    ["invalidFieldInParameterList", 5, 0x26, 0],
    ["spaceAllocationFailed", 7, 0x27, 7],
    ["miscompareDuringVerify", 0xe, 0x1d, 0],
    ["capacityDataHasChanged", 6, 0x2a, 9],
    ["reportedLunsDataHasChanged", 6, 0x3f, 0xe],
    ["protocolServiceCrcError", 0xb, 0x47, 5],
  ] as const)("%s is %i/%i/%i, as the standard and shared/bad-input.md have it", (name: SenseName, key, asc, ascq) => {
    expect(SENSE[name]).toEqual({ key, asc, ascq });
  });
});
