import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  checkedPart,
  decodeSuperblock,
  ENTRY_BYTES,
  ENTRY_WORDS,
  encodeSuperblock,
  type JournalId,
  journalIdWords,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  readRecordHeader,
  recordChecksumHolds,
  SUPERBLOCK_BYTES,
  sealRecord,
} from "../../../src/journal/record.ts";

const ID = journalIdWords("0123456789abcdeffedcba9876543210");

function sealed(header: { sequence: number; epoch: number; syncedSequence: number; entries: number[]; kind: number }) {
  const bytes = Buffer.alloc(RECORD_HEADER_BYTES + header.entries.length * ENTRY_BYTES);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (const [n, value] of header.entries.entries()) {
    const at = RECORD_HEADER_BYTES / 4 + n * ENTRY_WORDS;
    words.fill(value, at, at + ENTRY_WORDS);
  }
  sealRecord(words, checkedPart(bytes, header.entries.length), ID, {
    ...header,
    entryCount: header.entries.length,
    payloadFrames: header.entries.length,
  });
  return { bytes, words };
}

function parse(words: Uint32Array, id: JournalId): RecordHeader | undefined {
  const header = { sequence: 0, epoch: 0, entryCount: 0, payloadFrames: 0, syncedSequence: 0, kind: 0 };
  return readRecordHeader(words, 0, id, header) ? header : undefined;
}

const header = fc.record({
  sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  epoch: fc.nat({ max: 0xffff_ffff }),
  syncedSequence: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  entries: fc.array(fc.nat({ max: 0xffff_ffff }), { maxLength: 6 }),
  kind: fc.constantFrom(1, 2),
});

describe("journal record: header and entries", () => {
  test("read back as they were sealed, sequences beyond 32 bits too", () => {
    fc.assert(
      fc.property(header, (values) => {
        const { words } = sealed(values);
        const { entries, ...rest } = values;
        expect(parse(words, ID)).toEqual({ ...rest, entryCount: entries.length, payloadFrames: entries.length });
        expect(recordChecksumHolds(words, 0, entries.length)).toBe(true);
      }),
    );
  });

  test("a record whose any byte was changed is not taken for whole", () => {
    const { bytes, words } = sealed({ sequence: 7, epoch: 3, syncedSequence: 5, entries: [1, 2, 3], kind: 1 });
    for (let at = 0; at < bytes.length; at++) {
      for (const change of [0x01, 0x80, 0xff]) {
        bytes[at]! ^= change;
        const parsed = parse(words, ID);
        const whole = parsed !== undefined && parsed.entryCount <= 3 && recordChecksumHolds(words, 0, parsed.entryCount);
        expect(whole, `byte ${at} changed by ${change}`).toBe(false);
        bytes[at]! ^= change;
      }
    }
    expect(recordChecksumHolds(words, 0, 3)).toBe(true);
  });

  test("a record of another journal is not ours", () => {
    const { words } = sealed({ sequence: 7, epoch: 3, syncedSequence: 5, entries: [1], kind: 1 });
    expect(parse(words, journalIdWords("0123456789abcdee0000000000000000"))).toBeUndefined();
    expect(parse(words, journalIdWords("0123456689abcdef0000000000000000"))).toBeUndefined();
  });
});

describe("journal superblock", () => {
  const superblock = {
    counter: 2 ** 40,
    identity: "0123456789abcdeffedcba9876543210",
    tailOffset: 2 ** 45 + 64,
    tailSequence: 2 ** 33,
    tailEpoch: 0xffff_ffff,
    ownerEpoch: 0xffff_fffe,
    mapSequence: 2 ** 45 + 3,
    syncedSequence: 2 ** 33 + 5,
    fileBytes: 2 ** 30,
  };

  test("reads back as it was written", () => {
    const bytes = encodeSuperblock(superblock);
    expect(bytes.length).toBe(SUPERBLOCK_BYTES);
    expect(decodeSuperblock(bytes)).toEqual(superblock);
  });

  test("is not taken when any byte was changed, nor when it is cut short", () => {
    const bytes = encodeSuperblock(superblock);
    for (let at = 0; at < bytes.length; at++) {
      bytes[at]! ^= 0x10;
      expect(decodeSuperblock(bytes), `byte ${at}`).toBeUndefined();
      bytes[at]! ^= 0x10;
    }
    for (let length = 0; length < bytes.length; length++) expect(decodeSuperblock(bytes.subarray(0, length))).toBeUndefined();
  });
});
