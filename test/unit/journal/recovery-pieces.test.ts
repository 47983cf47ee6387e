/** Recovery reads the file in pieces and proves many records by one sum: what it finds does not depend on where pieces end. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JournalFile } from "../../../drivers/journal-file/journal-file.ts";
import { MemoryJournalFile, MemoryJournalState } from "../../../drivers/journal-file/memory-journal-file.ts";
import { dataChecksum } from "../../../drivers/shared-memory/data-checksum.ts";
import { Journal } from "../../../src/journal/journal.ts";
import { READER_PIECE_BYTES_MIN } from "../../../src/journal/journal-reader.ts";
import { ENTRY_KIND, JOURNAL_DATA_START, RECORD_ENTRIES_MAX } from "../../../src/journal/record.ts";
import { recordBytes } from "../../../src/journal/record-builder.ts";

const IDENTITY = "00112233445566778899aabbccddeeff";
const FRAME = 4096;

interface Shape {
  readonly writes: number;
  readonly zeros: number;
}

function open(state: MemoryJournalState, epoch: number, file: JournalFile = new MemoryJournalFile(state)): Journal {
  const fail = (error: Error): never => {
    throw error;
  };
  return new Journal({
    file,
    identity: IDENTITY,
    epoch,
    onFailure: fail,
    onProgress: () => undefined,
  });
}

/** Each block says which it is. */
function content(block: number): Buffer {
  const bytes = Buffer.alloc(FRAME, `${block}`);
  bytes.writeUInt32LE(block, 1000);
  return bytes;
}

const sizeOf = ({ writes, zeros }: Shape): number => recordBytes(writes + zeros, writes);

/** A journal with these records; those behind the end of the file, which some that are not needed any more may bring near, at its start. */
async function filled(shapes: readonly Shape[], wrapsAfter: number): Promise<MemoryJournalState> {
  const total = shapes.reduce((sum, shape) => sum + sizeOf(shape), 0);
  const most = Math.max(...shapes.map(sizeOf));
  const state = new MemoryJournalState(JOURNAL_DATA_START + total + 2 * most + 4096);
  await Journal.format(new MemoryJournalFile(state), IDENTITY);
  const journal = open(state, 1);
  await journal.recover({ piece: Buffer.alloc(READER_PIECE_BYTES_MIN), apply: () => undefined });
  // What was needed once, and is not any more: the records that count begin where it ended.
  const before = shapes.slice(0, wrapsAfter);
  for (const [n, shape] of [...before, ...shapes].entries()) {
    if (n === before.length) journal.trim(journal.nextSequence);
    await new Promise((resolve) => setImmediate(resolve));
    expect(journal.fits(shape.writes + shape.zeros, shape.writes)).toBe(true);
    append(journal, shape);
  }
  return state;
}

function append(journal: Journal, { writes, zeros }: Shape): void {
  const source = { volume: 1, nexus: 1, initiatorTaskTag: 1 };
  const first = journal.nextSequence * RECORD_ENTRIES_MAX;
  for (let n = 0; n < zeros; n++) journal.record.addZero({ ...source, block: n, count: 2 });
  for (let n = 0; n < writes; n++) {
    const payload = content(first + n);
    journal.record.addWrite({ ...source, block: first + n, mask: 0xff, crc: dataChecksum(payload) });
    journal.record.addPayload(payload);
  }
  journal.commit();
}

/** What was recovered, and where each record lay; the content of each block is looked at. */
async function recovered(state: MemoryJournalState, pieceBytes: number, pagesKept = false) {
  const journal = open(state, 2);
  const piece = Buffer.alloc(pieceBytes);
  const records: (Shape & { readonly sequence: number; readonly payloadPosition: number })[] = [];
  await journal.recover({
    piece,
    pagesKept,
    apply: ({ sequence, entries }) => {
      const writes = entries.filter(({ kind }) => kind === ENTRY_KIND.write);
      for (const { payloadPosition, block } of writes) {
        const at = journal.bring(payloadPosition, FRAME);
        expect(piece.subarray(at, at + FRAME).equals(content(block))).toBe(true);
      }
      const payloadPosition = entries.length === 0 ? 0 : entries[0]!.payloadPosition;
      records.push({ sequence, writes: writes.length, zeros: entries.length - writes.length, payloadPosition });
      return undefined;
    },
  });
  return records;
}

const shape: fc.Arbitrary<Shape> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ writes: fc.integer({ min: 1, max: 3 }), zeros: fc.nat({ max: 2 }) }) },
  { weight: 2, arbitrary: fc.record({ writes: fc.integer({ min: 4, max: 30 }), zeros: fc.nat({ max: 1 }) }) },
  { weight: 1, arbitrary: fc.record({ writes: fc.constant(0), zeros: fc.integer({ min: 1, max: 20 }) }) },
);
const shapes = fc.array(shape, { minLength: 1, maxLength: 40 });
const pieceBytes = fc.integer({ min: READER_PIECE_BYTES_MIN / 32, max: 6000 }).map((lines) => lines * 32);

describe("journal recovery: pieces", () => {
  test("all records are found, wherever pieces end, and with headers only", async () => {
    await fc.assert(
      fc.asyncProperty(shapes, fc.nat({ max: 5 }), pieceBytes, fc.boolean(), async (given, wrapsAfter, bytes, pagesKept) => {
        const state = await filled(given, wrapsAfter);
        const found = await recovered(state, bytes, pagesKept);
        expect(found.map(({ writes, zeros }) => ({ writes, zeros }))).toEqual(given);
        expect(found.map(({ sequence }) => sequence)).toEqual(found.map((_, n) => found[0]!.sequence + n));
      }),
      { numRuns: 60 },
    );
  });

  test("a byte that is not what was written ends the journal before its record, whichever byte of which record it is", async () => {
    const damage = fc.record({ record: fc.nat(), byte: fc.nat(), change: fc.integer({ min: 1, max: 255 }) });
    await fc.assert(
      fc.asyncProperty(
        shapes,
        fc.nat({ max: 5 }),
        pieceBytes,
        damage,
        async (given, wrapsAfter, bytes, { record, byte, change }) => {
          const state = await filled(given, wrapsAfter);
          const whole = await recovered(state, bytes);
          const hit = record % whole.length;
          const { writes, zeros, payloadPosition } = whole[hit]!;
          const begin = payloadPosition - recordBytes(writes + zeros, 0);
          state.cached[begin + (byte % sizeOf(given[hit]!))]! ^= change;
          expect(await recovered(state, bytes)).toEqual(whole.slice(0, hit));
        },
      ),
      { numRuns: 150 },
    );
  });

  test("of a record that was swapped for another whole one nothing is taken", async () => {
    // Each is whole by itself: what is proved is that they follow each other.
    const one = { writes: 1, zeros: 0 };
    const state = await filled([one, one, one, one], 0);
    const bytes = sizeOf(one);
    state.cached.copyWithin(JOURNAL_DATA_START + 2 * bytes, JOURNAL_DATA_START + bytes, JOURNAL_DATA_START + 2 * bytes);
    expect((await recovered(state, READER_PIECE_BYTES_MIN)).map(({ sequence }) => sequence)).toEqual([1, 2]);
  });

  test("the largest record there is, with a piece that holds its header and no more", async () => {
    const given = [
      { writes: 1, zeros: 0 },
      { writes: RECORD_ENTRIES_MAX, zeros: 0 },
      { writes: 2, zeros: 0 },
    ];
    const state = await filled(given, 0);
    for (const bytes of [READER_PIECE_BYTES_MIN, 64 * 1024, 512 * 1024]) {
      for (const pagesKept of [false, true]) expect(await recovered(state, bytes, pagesKept)).toHaveLength(3);
    }
    state.cached[JOURNAL_DATA_START + sizeOf(given[0]!) + sizeOf(given[1]!) - 1]! ^= 1;
    for (const bytes of [READER_PIECE_BYTES_MIN, 512 * 1024]) expect(await recovered(state, bytes)).toHaveLength(1);
  });

  test("with headers only, the last record's payload is proved all the same", async () => {
    const given = Array.from({ length: 5 }, (_, n) => ({ writes: 1 + n * 7, zeros: 1 }));
    const state = await filled(given, 0);
    state.cached[JOURNAL_DATA_START + given.reduce((sum, one) => sum + sizeOf(one), 0) - 100]! ^= 1;
    expect(await recovered(state, 64 * 1024, true)).toHaveLength(4);
  });
});

test("a restart has what comes behind each piece brought from the disk meanwhile; a takeover, whose pages are in memory, has not", async () => {
  const state = await filled(
    Array.from({ length: 300 }, () => ({ writes: 1, zeros: 0 })),
    0,
  );
  const bytes = 300 * sizeOf({ writes: 1, zeros: 0 });
  for (const pagesKept of [false, true]) {
    const asked: number[] = [];
    const file = Object.assign(new MemoryJournalFile(state), { readAhead: (position: number) => void asked.push(position) });
    const piece = Buffer.alloc(READER_PIECE_BYTES_MIN);
    await open(state, 2, file).recover({ piece, pagesKept, apply: () => undefined });
    if (pagesKept) expect(asked).toEqual([]);
    else expect(asked.length).toBeGreaterThan(Math.floor(bytes / piece.length));
    expect(asked).toEqual([...asked].sort((a, b) => a - b));
  }
});
