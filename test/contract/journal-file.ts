/** The contract that every JournalFile passes (drivers/journal-file/journal-file.ts). */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JournalFile, JournalFileError } from "../../drivers/journal-file/journal-file.ts";

export interface JournalFixture {
  open(): Promise<JournalFile>;
  dispose(): Promise<void>;
}

export const JOURNAL_BYTES = 64 * 1024;

function synced(file: JournalFile): Promise<JournalFileError | undefined> {
  return new Promise((resolve) => file.sync(resolve));
}

function readBack(file: JournalFile, position: number, bytes: number): Buffer {
  const target = Buffer.alloc(bytes, 0xee);
  expect(file.read(position, target)).toBe(bytes);
  return target;
}

export function journalFileContract(subject: string, make: () => Promise<JournalFixture>): void {
  describe(`${subject}: the journal file contract`, () => {
    let fixture: JournalFixture;
    let file: JournalFile;

    beforeAll(async () => {
      fixture = await make();
      file = await fixture.open();
    });
    afterAll(async () => {
      await file.close();
      await fixture.dispose();
    });

    test("has the size that it was made with, and begins as zeros", () => {
      expect(file.bytes).toBe(JOURNAL_BYTES);
      expect(readBack(file, 0, JOURNAL_BYTES).every((byte) => byte === 0)).toBe(true);
    });

    test("reads what was written, the buffers one after the other", () => {
      file.write(1000, [Buffer.from("abc"), Buffer.alloc(0), Buffer.from("defg")]);
      expect(readBack(file, 999, 9).toString("latin1")).toBe("\0abcdefg\0");
    });

    test("takes buffers over shared memory, and more of them than one system call does", () => {
      const shared = new Uint8Array(new SharedArrayBuffer(3000)).map((_, index) => index * 7);
      const buffers = Array.from({ length: 3000 }, (_, index) => shared.subarray(index, index + 1));
      file.write(2000, buffers);
      expect(Buffer.compare(readBack(file, 2000, 3000), shared)).toBe(0);
    });

    test("reads less only at the end of the file", () => {
      expect(file.read(JOURNAL_BYTES - 10, Buffer.alloc(20))).toBe(10);
      expect(file.read(JOURNAL_BYTES, Buffer.alloc(20))).toBe(0);
    });

    test("refuses to write beyond its end", () => {
      expect(() => file.write(JOURNAL_BYTES - 2, [Buffer.alloc(3)])).toThrow(RangeError);
      expect(() => file.write(-1, [Buffer.alloc(3)])).toThrow(RangeError);
      expect(() => file.write(Number.NaN, [Buffer.alloc(3)])).toThrow(RangeError);
    });

    test("ends syncs in the order in which they were asked for", async () => {
      const order: number[] = [];
      await Promise.all(
        Array.from({ length: 50 }, async (_, index) => {
          file.write(index, [Buffer.from([index])]);
          expect(await synced(file)).toBeUndefined();
          order.push(index);
        }),
      );
      expect(order).toEqual(Array.from({ length: 50 }, (_, index) => index));
    });

    test("keeps what was written over closing and opening", async () => {
      file.write(5000, [Buffer.from("kept")]);
      await synced(file);
      await file.close();
      expect(() => file.write(0, [Buffer.from("x")])).toThrow(/closed/);
      file = await fixture.open();
      expect(readBack(file, 5000, 4).toString()).toBe("kept");
    });

    test("does what an array of bytes does, for any writes", () => {
      const model = readBack(file, 0, JOURNAL_BYTES);
      const write = fc.record({
        position: fc.nat(JOURNAL_BYTES - 600),
        buffers: fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 3 }),
      });
      fc.assert(
        fc.property(fc.array(write, { maxLength: 10 }), (writes) => {
          for (const { position, buffers } of writes) {
            file.write(position, buffers);
            Buffer.concat(buffers).copy(model, position);
          }
          expect(Buffer.compare(readBack(file, 0, JOURNAL_BYTES), model)).toBe(0);
        }),
        { numRuns: 20 },
      );
    });
  });
}
