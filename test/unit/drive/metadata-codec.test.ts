import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MetadataOperation } from "../../../drivers/drive/drive.ts";
import {
  decodeEntries,
  decodeOperations,
  encodeEntries,
  encodeOperations,
  entriesBytes,
  operationsBytes,
} from "../../../drivers/drive/metadata-codec.ts";

const key = fc.string({ minLength: 1, maxLength: 48, unit: "grapheme-ascii" });
const operation: fc.Arbitrary<MetadataOperation> = fc.oneof(
  fc.record({
    type: fc.constant("put" as const),
    key,
    value: fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value)),
  }),
  fc.record({ type: fc.constant("delete" as const), key }),
);

describe("metadata in a mailbox", () => {
  test("comes out as it went in", () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 20 }), (operations) => {
        const bytes = Buffer.alloc(operationsBytes(operations));
        encodeOperations(bytes, operations);
        expect(decodeOperations(bytes)).toEqual(operations);
      }),
    );
    const entries = [["a", Buffer.from("1")] as const, ["b", Buffer.alloc(0)] as const];
    const bytes = Buffer.alloc(entriesBytes(entries));
    encodeEntries(bytes, entries);
    expect(decodeEntries(bytes)).toEqual(entries);
  });

  test("is refused with a RangeError when it is cut off anywhere but between entries", () => {
    const operations: MetadataOperation[] = [
      { type: "put", key: "abc", value: Buffer.from("value") },
      { type: "delete", key: "de" },
    ];
    const bytes = Buffer.alloc(operationsBytes(operations));
    encodeOperations(bytes, operations);
    const whole = new Set([0, operationsBytes(operations.slice(0, 1)), bytes.byteLength]);
    for (let length = 0; length <= bytes.byteLength; length++) {
      if (whole.has(length)) continue;
      expect(() => decodeOperations(bytes.subarray(0, length))).toThrow(RangeError);
    }
  });

  test("does nothing else than refuse for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        try {
          decodeOperations(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
  });
});
