import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CDB_UNKNOWN, CDBS, cdbIndex, describeCdb, planDataOut } from "../../../src/scsi/cdb/cdb-table.ts";
import { type CdbDefinition, decodeCdb, defineCdb, encodeCdb, printCdb, usageMap } from "../../../src/scsi/cdb/define-cdb.ts";
import { bits, bitsThrough, fieldBigInt, fieldMask, fieldValue, setField, u8, u16, u64 } from "../../../src/scsi/cdb/field.ts";
import { MODE_SELECT_10 } from "../../../src/scsi/cdb/mode-select.ts";
import { READ_6, READ_10, READ_16 } from "../../../src/scsi/cdb/read.ts";
import { UNMAP } from "../../../src/scsi/cdb/unmap.ts";
import { VERIFY_10 } from "../../../src/scsi/cdb/verify.ts";
import { WRITE_6, WRITE_10, WRITE_16 } from "../../../src/scsi/cdb/write.ts";
import { WRITE_SAME_16 } from "../../../src/scsi/cdb/write-same.ts";

function plan(definition: CdbDefinition, values: Record<string, number | bigint>, logicalBlockBytes = 512) {
  const out = { bytes: -1, phase: -1 };
  planDataOut(encodeCdb(definition, values), logicalBlockBytes, out);
  return out;
}

describe("fields of a CDB", () => {
  test("read bits, bytes and runs that begin inside a byte", () => {
    const cdb = Uint8Array.from([0x08, 0xff, 0x12, 0x34, 0x56, 0x78]);
    expect(fieldValue(cdb, bits(1, 7, 5))).toBe(7);
    expect(fieldValue(cdb, bitsThrough(1, 4, 3))).toBe(0x1f1234);
    expect(fieldValue(cdb, u16(3))).toBe(0x3456);
    expect(fieldMask(bitsThrough(1, 4, 3), 1)).toBe(0x1f);
    expect(fieldMask(bits(2, 2, 1), 2)).toBe(0x06);
    expect(fieldMask(u8(2), 3)).toBe(0);
  });

  test("of eight bytes are exact as bigint, and never smaller than 2^53 as number when they are larger", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (value) => {
        const cdb = new Uint8Array(16);
        setField(cdb, u64(2), value);
        expect(fieldBigInt(cdb, u64(2))).toBe(value);
        const number = fieldValue(cdb, u64(2));
        if (value <= BigInt(Number.MAX_SAFE_INTEGER)) expect(BigInt(number)).toBe(value);
        else expect(number).toBeGreaterThan(Number.MAX_SAFE_INTEGER);
      }),
    );
  });

  test("refuse a value that does not fit", () => {
    expect(() => setField(new Uint8Array(6), bits(1, 2, 1), 4)).toThrow(RangeError);
    expect(() => setField(new Uint8Array(6), u8(1), 256)).toThrow(RangeError);
  });
});

describe("defineCdb", () => {
  const shape = { opcode: 0xc0, lengthBytes: 6, direction: "none" } as const;
  test("refuses overlaps, overruns, the CONTROL byte and the service action's bits", () => {
    expect(() => defineCdb("X", shape, { a: bits(1, 4, 2), b: bits(1, 2, 0) })).toThrow(/overlaps/);
    expect(() => defineCdb("X", shape, { a: u16(5) })).toThrow(/past the end/);
    expect(() => defineCdb("X", shape, { a: u8(5) })).toThrow(/overlaps/);
    expect(() => defineCdb("X", { ...shape, serviceAction: 1 }, { a: bits(1, 4, 4) })).toThrow(/overlaps/);
  });

  test.each(CDBS.map((definition) => [definition.name, definition] as const))(
    "%s: what is encoded is decoded",
    (_name, definition) => {
      const values = fc.record(
        Object.fromEntries(
          Object.entries(definition.fields).map(([name, field]) => {
            const width = field.bytes === 1 ? field.highBit - field.lowBit + 1 : 8 * (field.bytes - 1) + field.highBit + 1;
            const max = (1n << BigInt(width)) - 1n;
            return [name, field.bytes === 8 ? fc.bigInt({ min: 0n, max }) : fc.nat({ max: Number(max) })];
          }),
        ),
      );
      fc.assert(
        fc.property(values, (chosen) => {
          const cdb = encodeCdb(definition, chosen);
          expect(decodeCdb(definition, cdb)).toEqual(chosen);
          expect(CDBS[cdbIndex(cdb[0]!, cdb[1]! & 0x1f)]).toBe(definition);
          expect(cdb.subarray(definition.lengthBytes).every((byte) => byte === 0)).toBe(true);
        }),
        { numRuns: 30 },
      );
    },
  );
});

describe("printer and usage map", () => {
  test("prints the fields that are not zero", () => {
    expect(printCdb(READ_10, encodeCdb(READ_10, { logicalBlockAddress: 8, transferLength: 1, fua: 1 }))).toBe(
      "READ(10) fua=1 logicalBlockAddress=8 transferLength=1",
    );
    expect(describeCdb(Uint8Array.of(0xff))).toBe("operation code ffh");
  });

  test("shows the bits that are evaluated", () => {
    expect([...usageMap(READ_10)]).toEqual([0x28, 0x18, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0]);
    expect([...usageMap(READ_6)]).toEqual([0x08, 0x1f, 0xff, 0xff, 0xff, 0]);
    expect([...usageMap(WRITE_SAME_16)].slice(0, 3)).toEqual([0x93, 0x09, 0xff]);
  });
});

describe("plan of data-out", () => {
  test("is bytes and phase of the blocks written", () => {
    expect(plan(WRITE_10, { logicalBlockAddress: 9, transferLength: 3 })).toEqual({ bytes: 1536, phase: 512 });
    expect(plan(WRITE_6, { logicalBlockAddress: 7 })).toEqual({ bytes: 131072, phase: 3584 });
    expect(plan(WRITE_16, { logicalBlockAddress: 9n, transferLength: 3 }, 4096)).toEqual({ bytes: 12288, phase: 0 });
    expect(plan(VERIFY_10, { transferLength: 3, bytchk: 1, logicalBlockAddress: 1 })).toEqual({ bytes: 1536, phase: 512 });
    expect(plan(VERIFY_10, { transferLength: 3, bytchk: 3, logicalBlockAddress: 1 })).toEqual({ bytes: 512, phase: 0 });
    expect(plan(VERIFY_10, { transferLength: 3 })).toEqual({ bytes: 0, phase: 0 });
    expect(plan(WRITE_SAME_16, { transferLength: 300, logicalBlockAddress: 3n })).toEqual({ bytes: 512, phase: 0 });
    expect(plan(WRITE_SAME_16, { ndob: 1 })).toEqual({ bytes: 0, phase: 0 });
    expect(plan(UNMAP, { parameterListLength: 24 })).toEqual({ bytes: 24, phase: 0 });
    expect(plan(READ_16, { transferLength: 24 })).toEqual({ bytes: 0, phase: 0 });
  });

  test("is nothing for what will be refused for its length", () => {
    expect(plan(WRITE_16, { transferLength: 8193 })).toEqual({ bytes: 0, phase: 0 });
    expect(plan(MODE_SELECT_10, { parameterListLength: 1025 })).toEqual({ bytes: 0, phase: 0 });
  });

  test("never fails and stays within bounds, whatever the CDB", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.constantFrom(512, 4096), (cdb, logicalBlockBytes) => {
        const out = { bytes: -1, phase: -1 };
        planDataOut(cdb, logicalBlockBytes, out);
        expect(out.bytes).toBeGreaterThanOrEqual(0);
        expect(out.bytes).toBeLessThanOrEqual(4 << 20);
        expect(out.phase % logicalBlockBytes).toBe(0);
        expect(out.phase).toBeLessThan(4096);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("cdbIndex", () => {
  test("tells an unknown operation code from an unknown service action", () => {
    expect(cdbIndex(0xff, 0)).toBe(CDB_UNKNOWN.operationCode);
    expect(cdbIndex(0x9e, 0x11)).toBe(CDB_UNKNOWN.serviceAction);
  });
});
