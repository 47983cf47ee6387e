import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type JournalFile, JournalFileError } from "../../../drivers/journal-file/journal-file.ts";
import { MemoryJournalFile, MemoryJournalState } from "../../../drivers/journal-file/memory-journal-file.ts";
import { MirroredJournalFile } from "../../../drivers/journal-file/mirrored-journal-file.ts";
import { dataChecksum } from "../../../drivers/shared-memory/data-checksum.ts";
import { dataCrc32c } from "../../../drivers/shared-memory/data-crc32c.ts";
import { Journal } from "../../../src/journal/journal.ts";
import { type JournalError, type RecoveredEntry, refuseForeignJournal } from "../../../src/journal/journal-reader.ts";
import {
  ENTRY_BYTES,
  encodeSuperblock,
  JOURNAL_DATA_START,
  RECORD_HEADER_BYTES,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_POSITIONS,
} from "../../../src/journal/record.ts";

const IDENTITY = "00112233445566778899aabbccddeeff";
const FRAME = 4096;
/** As large as the reader's own in the product. */
const PIECE_BYTES = 512 * 1024;

interface Opened {
  readonly journal: Journal;
  readonly file: MemoryJournalFile;
  readonly failures: Error[];
}

function open(state: MemoryJournalState, epoch: number, options: { manualSync?: boolean; identity?: string } = {}): Opened {
  const file = new MemoryJournalFile(state, { manualSync: options.manualSync ?? true });
  const failures: Error[] = [];
  const journal = new Journal({
    file,
    identity: options.identity ?? IDENTITY,
    epoch,
    onFailure: (error) => failures.push(error),
    onProgress: () => undefined,
  });
  return { journal, file, failures };
}

/** The operations of a file, to be changed one by one. */
function fileOf(file: MemoryJournalFile): JournalFile {
  return {
    bytes: file.bytes,
    write: (position, buffers) => file.write(position, buffers),
    read: (position, target) => file.read(position, target),
    sync: (done) => file.sync(done),
    close: () => file.close(),
  };
}

async function format(dataBytes: number): Promise<MemoryJournalState> {
  const state = new MemoryJournalState(JOURNAL_DATA_START + dataBytes);
  await Journal.format(new MemoryJournalFile(state), IDENTITY);
  return state;
}

function payload(seed: number): Uint8Array {
  return new Uint8Array(FRAME).fill((seed * 37 + 11) & 0xff);
}

/** One record: `zeros` zero entries and a write entry for each value of `writes`; its sequence. */
function append(journal: Journal, writes: readonly number[], zeros = 0): number {
  for (let n = 0; n < zeros; n++) journal.record.addZero({ volume: 9, block: n, count: 3, nexus: 1, initiatorTaskTag: 2 });
  for (const seed of writes) {
    const data = payload(seed);
    journal.record.addWrite({ volume: 1, block: seed, mask: 0xff, crc: dataChecksum(data), nexus: 1, initiatorTaskTag: seed });
    journal.record.addPayload(data);
  }
  return journal.commit();
}

interface Recovered {
  readonly sequence: number;
  readonly writes: number[];
  readonly zeros: number;
}

async function recover(
  { journal }: Opened,
  { pieceBytes = PIECE_BYTES, pagesKept = false }: { pieceBytes?: number; pagesKept?: boolean } = {},
): Promise<Recovered[]> {
  const records: Recovered[] = [];
  const piece = Buffer.alloc(pieceBytes);
  const read = ({ payloadPosition }: RecoveredEntry): Buffer => {
    const at = journal.bring(payloadPosition, FRAME);
    return piece.subarray(at, at + FRAME);
  };
  await journal.recover({
    piece,
    pagesKept,
    apply: ({ sequence, entries }) => {
      const writes = entries.filter((entry) => entry.kind === 1);
      for (const entry of writes) expect(Buffer.compare(read(entry), payload(entry.block))).toBe(0);
      records.push({ sequence, writes: writes.map((entry) => entry.block), zeros: entries.length - writes.length });
      return undefined;
    },
  });
  return records;
}

const recordBytes = (writes: number, zeros: number): number =>
  RECORD_HEADER_BYTES + (writes + zeros) * ENTRY_BYTES + writes * FRAME;

describe("Journal: a disk that is full", () => {
  test("superblocks that find no room leave the one that counts, however many there are; then the tail moves", async () => {
    const state = await format(8 * recordBytes(1, 0));
    const opened = open(state, 1, { manualSync: true });
    const { journal, file, failures } = opened;
    await recover(opened);
    for (const seed of [1, 2, 3]) append(journal, [seed]);
    let isFull = true;
    let refused = 0;
    const write = file.write.bind(file);
    file.write = (position, buffers) => {
      const refuses = isFull && SUPERBLOCK_POSITIONS.some((place) => place === position);
      if (refuses) refused += 1;
      file.roomBytes = refuses ? 17 : Number.POSITIVE_INFINITY;
      write(position, buffers);
    };
    journal.trim(2);
    file.endSyncs();
    expect([journal.hasRoom, refused]).toEqual([false, 1]);
    // There is room for what is looked for, and then again none for the superblock.
    for (let tries = 0; tries < 3; tries++) {
      journal.findRoom();
      expect([journal.hasRoom, refused]).toEqual([false, tries + 2]);
    }
    expect(failures).toEqual([]);
    expect((await recover(open(state, 2))).map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
    isFull = false;
    expect(journal.findRoom()).toBe(true);
    file.endSyncs();
    expect(journal.hasRoom).toBe(true);
    expect((await recover(open(state, 2))).map(({ sequence }) => sequence)).toEqual([2, 3]);
  });

  test("looks for room only where nothing lives, and what it leaves there is no record", async () => {
    const state = await format(3 * recordBytes(1, 0) + 100);
    for (let lap = 0; lap < 12; lap++) {
      const opened = open(state, lap + 1);
      const before = await recover(opened);
      expect(before.map(({ sequence }) => sequence)).toEqual(lap === 0 ? [] : [lap]);
      const { journal, file } = opened;
      expect(journal.findRoom()).toBe(true);
      expect(await recover(open(state, lap + 1))).toEqual(before);
      expect(journal.fits(1, 1)).toBe(true);
      const sequence = append(journal, [lap]);
      file.roomBytes = 0;
      expect(journal.findRoom()).toBe(false);
      expect([journal.hasRoom, journal.fits(1, 1)]).toEqual([false, false]);
      file.roomBytes = Number.POSITIVE_INFINITY;
      expect(journal.findRoom()).toBe(true);
      journal.trim(sequence);
      journal.fits(1, 3);
      file.endSyncs();
      file.endSyncs();
    }
  });
});

describe("Journal: trimming and power loss", () => {
  test("a record that was superseded is there until the one that supersedes it is durable", async () => {
    const state = await format(2 * recordBytes(1, 0));
    const opened = open(state, 1);
    const { journal, file } = opened;
    await recover(opened);
    const first = append(journal, [1]);
    let durable = false;
    journal.whenSynced(first, (done) => {
      durable = done;
    });
    file.endSyncs();
    expect(durable).toBe(true);
    // Overwritten: nothing needs the first record any more, once the second is durable. That is in the page cache only.
    const second = append(journal, [2]);
    journal.trim(second);
    expect(journal.fits(1, 1)).toBe(false);
    for (const kept of [[], [0], [1], [2]]) {
      const after = new MemoryJournalState(state.cached.length);
      after.cached.set(state.cached);
      after.durable.set(state.durable);
      after.unsynced = [...state.unsynced];
      // The power keeps the newest of what was not synced, in any choice: the superblock, if one was written, and not the record.
      after.powerLoss((write) => kept.includes(write) && state.unsynced[write]!.position < JOURNAL_DATA_START);
      expect(await recover(open(after, 2))).toEqual([{ sequence: first, writes: [1], zeros: 0 }]);
    }
    // The record is durable, then the superblock is: there is room.
    file.endSyncs();
    file.endSyncs();
    expect(journal.fits(1, 1)).toBe(true);
    expect(await recover(open(state, 2))).toEqual([{ sequence: second, writes: [2], zeros: 0 }]);
  });
});

describe("Journal: the pool goes to another owner", () => {
  test("writes no superblock after it was let go, whatever was waiting to be trimmed, and that is no failure", async () => {
    const state = await format(2 * recordBytes(1, 0));
    const opened = open(state, 1);
    const { journal, file, failures } = opened;
    await recover(opened);
    append(journal, [1]);
    // The superblock waits for the second record's fdatasync.
    journal.trim(append(journal, [2]));
    const before = Buffer.from(state.cached);
    journal.letGo();
    await file.close();
    file.endSyncs();
    file.endSyncs();
    expect(before.equals(state.cached)).toBe(true);
    expect(failures).toEqual([]);
  });
});

describe("Journal: recovery", () => {
  test("reads the file in large pieces, however small its records are", async () => {
    const state = await format(4 * 1024 * 1024);
    const opened = open(state, 1);
    const { journal } = opened;
    await recover(opened);
    const count = Math.floor((3.5 * 1024 * 1024) / recordBytes(1, 0));
    for (let n = 1; n <= count; n++) append(journal, [n], 0);
    const again = open(state, 2);
    let reads = 0;
    const { file } = again;
    const read = file.read.bind(file);
    file.read = (position, target) => {
      reads += 1;
      return read(position, target);
    };
    expect(await recover(again)).toHaveLength(count);
    // Eight pieces of records that lie in them as a whole, the first record's, the two superblocks, and the end.
    expect(reads).toBeLessThan(14);
  });

  test("a record that is being applied can be made durable: its first blocks may have to leave memory for the others", async () => {
    const state = await format(1024 * 1024);
    const first = open(state, 1);
    await recover(first);
    append(first.journal, [1]);
    append(first.journal, [2, 3]);
    const { journal, file } = open(state, 2, { manualSync: false });
    let syncs = 0;
    const sync = file.sync.bind(file);
    // With a turn between, or a journal that asks for ever would let nothing else happen, not even the end of this test.
    file.sync = (done) => {
      syncs += 1;
      setImmediate(() => {
        if (syncs < 20) sync(done);
      });
    };
    const durable: number[] = [];
    await journal.recover({
      piece: Buffer.alloc(PIECE_BYTES),
      apply: async ({ sequence }) => {
        await journal.synced(sequence);
        durable.push(sequence);
      },
    });
    expect(durable).toEqual([1, 2]);
    expect(journal.syncedSequence).toBe(2);
  });
});

describe("Journal: wrap-around and trim (invariants 2 and 3)", () => {
  test("goes round the end of the file with every remainder, and recovers what was not trimmed", async () => {
    // The data area ends 0, 32, 64 … bytes behind the third record of a lap.
    for (let rest = 0; rest <= recordBytes(1, 1) + 32; rest += rest < 256 || rest > FRAME ? 32 : 480) {
      const state = await format(3 * recordBytes(1, 0) + rest);
      let opened = open(state, 1, { manualSync: false });
      await recover(opened);
      for (let n = 1; n <= 20; n++) {
        for (let waited = 0; !opened.journal.fits(1 + (n % 2), 1); waited++) {
          expect(waited, `rest ${rest}: no room for record ${n}`).toBeLessThan(20);
          opened.journal.trim(Math.max(1, n - 1));
          await new Promise((resolve) => setImmediate(resolve));
        }
        append(opened.journal, [n], n % 2);
        if (n % 5 === 0) {
          // A kill: nothing is lost that was not trimmed.
          opened = open(state, 1 + n, { manualSync: false });
          const records = await recover(opened);
          expect(records.at(-1), `rest ${rest}, after record ${n}`).toEqual({ sequence: n, writes: [n], zeros: n % 2 });
          expect(records.map((record) => record.sequence)).toEqual(records.map((_, index) => n - records.length + 1 + index));
          expect(opened.journal.nextSequence).toBe(n + 1);
        }
      }
    }
  });

  test("never writes behind the tail before the superblock that names it is durable", async () => {
    const state = await format(5 * recordBytes(1, 0));
    const { journal, file } = open(state, 1);
    await recover({ journal, file, failures: [] });
    for (let n = 1; n <= 5; n++) append(journal, [n]);
    expect(journal.fits(1, 1)).toBe(false);
    journal.trim(4);
    // The records come first; then the superblock is written, but not durable: the power may fail now, and the old tail count.
    expect(journal.fits(1, 1)).toBe(false);
    file.endSyncs();
    expect(journal.fits(1, 1)).toBe(false);
    expect(journal.liveBytes).toBe(2 * recordBytes(1, 0));
    const before = state.durable.slice();
    file.endSyncs();
    expect(journal.fits(1, 1)).toBe(true);
    expect(Buffer.compare(before, state.durable)).not.toBe(0);
    append(journal, [6]);
    // After a power loss that kept nothing unsynced, the new tail holds and the old records are whole.
    state.powerLoss();
    const again = open(state, 2);
    expect((await recover(again)).map((record) => record.sequence)).toEqual([4, 5]);
  });

  test("an empty journal gives all its room back, and says so", async () => {
    const state = await format(4 * recordBytes(1, 0));
    const { journal, file } = open(state, 1);
    await recover({ journal, file, failures: [] });
    for (let n = 1; n <= 4; n++) append(journal, [n]);
    expect(journal.isEmpty).toBe(false);
    journal.trim(5);
    expect(journal.isEmpty).toBe(true);
    expect(journal.liveBytes).toBe(0);
    file.endSyncs();
    file.endSyncs();
    expect(journal.fits(4, 3)).toBe(true);
    const again = open(state, 2);
    expect(await recover(again)).toEqual([]);
    expect(again.journal.nextSequence).toBe(5);
  });

  test("a record has to fit before the data that is live, to the byte", async () => {
    const state = await format(2 * recordBytes(1, 0));
    const { journal, file } = open(state, 1);
    await recover({ journal, file, failures: [] });
    append(journal, [1]);
    expect(journal.fits(1, 1)).toBe(true);
    expect(journal.fits(2, 1)).toBe(false);
  });
});

describe("Journal: durability (invariant 4)", () => {
  test("tells of a record only after an fdatasync that began after it was written", async () => {
    const { journal, file } = open(await format(64 * FRAME), 1);
    await recover({ journal, file, failures: [] });
    const told: number[] = [];
    append(journal, [1]);
    journal.whenSynced(1, () => told.push(1));
    append(journal, [2]);
    journal.whenSynced(2, () => told.push(2));
    expect(told).toEqual([]);
    file.endSyncs();
    expect(told).toEqual([1]);
    expect(journal.syncedSequence).toBe(1);
    file.endSyncs();
    expect(told).toEqual([1, 2]);
    journal.whenSynced(2, (durable) => told.push(durable ? 3 : -3));
    expect(told).toEqual([1, 2, 3]);
  });

  test("what is trimmed while the journal is replayed hides nothing of the rest from the next start", async () => {
    const state = await format(64 * 1024);
    const first = open(state, 1, { manualSync: false });
    await recover(first);
    for (const seed of [1, 2, 3]) append(first.journal, [seed]);
    await first.journal.synced(3);
    // The next owner has destaged record 1 when it is in the middle of record 2, and is killed.
    const second = open(state, 2, { manualSync: false });
    await expect(
      second.journal.recover({
        piece: Buffer.alloc(PIECE_BYTES),
        apply: async ({ sequence }) => {
          if (sequence === 1) return;
          second.journal.trim(2);
          await new Promise((resolve) => setTimeout(resolve, 5));
          throw new Error("killed");
        },
      }),
    ).rejects.toThrow("killed");
    expect((await recover(open(state, 3))).map(({ sequence }) => sequence)).toEqual([2, 3]);
  });

  test("counts nothing as durable that it only recovered: the page cache may have had it", async () => {
    const state = await format(64 * FRAME);
    const first = open(state, 1);
    await recover(first);
    append(first.journal, [1]);
    const again = open(state, 2);
    await recover(again);
    expect(again.journal.syncedSequence).toBe(0);
    let durable = false;
    again.journal.whenSynced(1, () => {
      durable = true;
    });
    expect(durable).toBe(false);
    again.file.endSyncs();
    expect(durable).toBe(true);
  });

  test.each(["while it is replayed", "afterwards", "afterwards, mended before"])(
    "what a sync of an earlier process failed for is written anew before one counts for it: %s",
    async (when) => {
      const state = await format(64 * 1024);
      const first = open(state, 1, { manualSync: false });
      await recover(first);
      append(first.journal, [1]);
      await first.journal.synced(1);
      for (const seed of [2, 3]) append(first.journal, [seed, seed + 10]);
      first.file.failNext = "sync";
      await expect(first.journal.synced(3)).rejects.toThrow();

      // The kernel still has it, and takes it for written.
      const second = open(state, 2, { manualSync: false });
      const seen: number[] = [];
      await second.journal.recover({
        piece: Buffer.alloc(PIECE_BYTES),
        apply: ({ sequence }) => {
          seen.push(sequence);
          return when === "while it is replayed" ? second.journal.synced(sequence) : undefined;
        },
      });
      expect(seen).toEqual([1, 2, 3]);
      if (when === "afterwards, mended before") expect(await second.journal.mend(() => Promise.resolve())).toEqual([]);
      await second.journal.synced(3);
      state.powerLoss();
      expect((await recover(open(state, 3))).map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
    },
  );

  test("what a sync of an earlier process failed for is written anew also where it is trimmed, as long as the superblock leads there", async () => {
    const state = await format(1024 * 1024);
    const first = open(state, 1, { manualSync: false });
    await recover(first);
    append(first.journal, [1]);
    await first.journal.synced(1);
    for (const seed of [2, 3]) append(first.journal, [seed]);
    first.file.failNext = "sync";
    await expect(first.journal.synced(3)).rejects.toThrow();

    const second = open(state, 2, { manualSync: false });
    await recover(second);
    // Too little for a superblock.
    second.journal.trim(3);
    await second.journal.synced(3);
    state.powerLoss();
    expect((await recover(open(state, 3))).map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  });

  test("what is written anew begins where the last durable record ended: the jump to the start of the file is not left out", async () => {
    // Four records and less than a fifth: the rest says that the journal goes on at the start.
    const state = await format(4 * recordBytes(1, 0) + 1024);
    const first = open(state, 1, { manualSync: false });
    await recover(first);
    for (const seed of [1, 2, 3, 4]) append(first.journal, [seed]);
    await first.journal.synced(4);
    first.journal.trim(3);
    await new Promise((resolve) => setTimeout(resolve, 5));
    append(first.journal, [5]);
    first.file.failNext = "sync";
    await expect(first.journal.synced(5)).rejects.toThrow();

    const second = open(state, 2, { manualSync: false });
    expect((await recover(second)).map(({ sequence }) => sequence)).toEqual([3, 4, 5]);
    await second.journal.synced(5);
    state.powerLoss();
    expect((await recover(open(state, 3))).map(({ sequence }) => sequence)).toEqual([3, 4, 5]);
  });

  test("a failed sync or write fails everyone who waits, once, and what comes later", async () => {
    for (const fault of ["sync", "write"] as const) {
      const { journal, file, failures } = open(await format(64 * FRAME), 1);
      await recover({ journal, file, failures });
      append(journal, [1]);
      const told: boolean[] = [];
      journal.whenSynced(1, (durable) => told.push(durable));
      file.failNext = fault;
      if (fault === "sync") file.endSyncs();
      else expect(() => append(journal, [2])).toThrow(/write failed/);
      expect(told).toEqual([false]);
      expect(failures).toHaveLength(1);
      expect(journal.failed).toBe(true);
      journal.whenSynced(1, (durable) => told.push(durable));
      expect(told).toEqual([false, false]);
    }
  });

  test("a superblock that can't be written, or a sync that is refused, fails the journal and not who happens to be there", async () => {
    const { journal, file, failures } = open(await format(64 * FRAME), 1);
    await recover({ journal, file, failures });
    for (let n = 0; n < 8; n++) append(journal, [n]);
    const told: boolean[] = [];
    journal.whenSynced(8, (durable) => told.push(durable));
    file.failNext = "write";
    journal.trim(9);
    // The superblock comes once the records are durable, in the turn in which those who waited for them are told.
    expect(failures).toHaveLength(0);
    file.endSyncs();
    expect(failures).toHaveLength(1);
    journal.whenSynced(8, (durable) => told.push(durable));
    expect(told).toEqual([true, false]);

    const closed = open(await format(64 * FRAME), 1);
    await recover(closed);
    append(closed.journal, [1]);
    await closed.file.close();
    closed.journal.whenSynced(1, (durable) => told.push(durable));
    expect(closed.failures).toHaveLength(1);
    expect(told).toEqual([true, false, false]);
  });

  test("takes no record any more once it has failed", async () => {
    const state = await format(64 * FRAME);
    const { journal, file, failures } = open(state, 1);
    await recover({ journal, file, failures });
    append(journal, [1]);
    // The sync of the superblock fails, and the file would take what comes then: it can't be relied upon to be read again.
    journal.whenSynced(1, () => undefined);
    const refusing = new Journal({
      file: { ...fileOf(file), sync: (done) => done(new JournalFileError("io", "no")) },
      identity: IDENTITY,
      epoch: 2,
      onFailure: (error) => failures.push(error),
      onProgress: () => undefined,
    });
    await recover({ journal: refusing, file, failures });
    refusing.whenSynced(1, () => undefined);
    expect(refusing.failed).toBe(true);
    expect(() => append(refusing, [2])).toThrow(JournalFileError);
  });
});

/** A copy that was lost is made whole, while less is trimmed than is worth a superblock. */
describe("Journal: a copy that is made whole has all that its superblock leads to", () => {
  /** Records with so many frames each are written, then recovered with the second copy blank: what that one has alone, once it is whole. */
  async function mended(
    { dataBytes, records, frames }: { dataBytes: number; records: number; frames: number },
    trims: { readonly onApply?: (journal: Journal, sequence: number) => void; readonly onCopy?: (journal: Journal) => void },
  ): Promise<number[]> {
    const state = await format(dataBytes);
    const first = open(state, 1, { manualSync: false });
    await recover(first);
    for (let n = 1; n <= records; n++) {
      append(
        first.journal,
        Array.from({ length: frames }, () => n),
      );
    }
    await first.journal.synced(records);

    const replaced = new MemoryJournalState(state.cached.length);
    const file = new MirroredJournalFile({
      copies: [new MemoryJournalFile(state), new MemoryJournalFile(replaced)],
      truth: 0,
      inStep: [true, false],
      onLost: async () => {},
    });
    const journal = new Journal({ file, identity: IDENTITY, epoch: 2, onFailure: () => undefined, onProgress: () => undefined });
    const apply = ({ sequence }: { sequence: number }): undefined => {
      trims.onApply?.(journal, sequence);
    };
    await journal.recover({ piece: Buffer.alloc(PIECE_BYTES), apply });
    const breathe = async (): Promise<void> => {
      if (file.lostCopies.length === 0) trims.onCopy?.(journal);
    };
    expect(await journal.mend(breathe)).toEqual([1]);
    replaced.powerLoss();
    return (await recover(open(replaced, 3))).map(({ sequence }) => sequence);
  }

  const upTo = (last: number): number[] => Array.from({ length: last }, (_, n) => n + 1);

  test("trimmed while it is replayed, as memory is short", async () => {
    const onApply = (journal: Journal, sequence: number): void => {
      if (sequence === 8) journal.trim(5);
    };
    expect(await mended({ dataBytes: 1024 * 1024, records: 10, frames: 1 }, { onApply })).toEqual(upTo(10));
  });

  test("trimmed between two slices of the copy", async () => {
    const shape = { dataBytes: 40 * 1024 * 1024, records: 12, frames: 64 };
    expect(await mended(shape, { onCopy: (journal) => journal.trim(9) })).toEqual(upTo(12));
  });

  test("with the head at the oldest record", async () => {
    const onApply = (journal: Journal, sequence: number): void => {
      if (sequence === 40) journal.trim(3);
    };
    expect(await mended({ dataBytes: 40 * recordBytes(1, 0), records: 40, frames: 1 }, { onApply })).toEqual(upTo(40));
  });
});

describe("Journal: power loss (architecture, invariant 1)", () => {
  type Act = { kind: "append"; writes: number; zeros: number } | { kind: "sync" } | { kind: "trim"; share: number };
  const act: fc.Arbitrary<Act> = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant("append" as const), writes: fc.nat({ max: 3 }), zeros: fc.nat({ max: 2 }) }),
    },
    { weight: 2, arbitrary: fc.constant({ kind: "sync" as const }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("trim" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    },
  );
  const life = fc.record({
    acts: fc.array(act, { minLength: 1, maxLength: 25, size: "max" }),
    kept: fc.array(fc.boolean(), { maxLength: 12 }),
  });

  test("whatever the page cache had written back, a prefix comes back that holds all that was durable, and nothing old", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 40 }), fc.array(life, { minLength: 1, maxLength: 6 }), async (rest, lives) => {
        const state = await format(12 * FRAME + rest * 32);
        /** What each sequence says, in the history that counts. */
        const history = new Map<number, Recovered>();
        let first = 1; // the oldest record that must come back if it exists
        let durable = 0;
        let next = 1;
        /** There at the next recovery, durable or not. */
        let cached = 0;
        let seed = 1;
        for (const [index, { acts, kept }] of lives.entries()) {
          // As every owner does: with the head that it found, which the one before may not have had durable.
          await Journal.claim(new MemoryJournalFile(state), IDENTITY, { known: index, own: index + 1 });
          const opened = open(state, index + 1);
          const records = await recover(opened);
          const { journal, file } = opened;
          // A prefix: each as it was written, without a gap, up to at least the last durable one.
          for (const record of records) expect(record).toEqual(history.get(record.sequence));
          expect(records.map((record) => record.sequence)).toEqual(
            records.map((_, n) => journal.nextSequence - records.length + n),
          );
          expect(journal.nextSequence).toBeGreaterThan(Math.max(durable, cached));
          expect(journal.nextSequence).toBeLessThanOrEqual(next);
          // All between the trim that was asked for last and the last durable one are there.
          const there = new Set(records.map((record) => record.sequence));
          for (let sequence = first; sequence <= durable; sequence++)
            expect(there.has(sequence), `record ${sequence}`).toBe(true);
          cached = 0;
          next = journal.nextSequence;
          for (const sequence of [...history.keys()]) if (sequence >= next) history.delete(sequence);
          first = Math.min(first, next);
          for (const one of acts) {
            if (one.kind === "sync") {
              journal.whenSynced(next - 1, (ok) => {
                expect(ok).toBe(true);
                durable = Math.max(durable, journal.syncedSequence);
              });
              file.endSyncs();
            } else if (one.kind === "trim") {
              // As the destager does: only what was durable is given up.
              first = Math.max(first, Math.min(durable + 1, first + Math.floor(one.share * (next - first))));
              journal.trim(first);
            } else {
              if (one.writes + one.zeros === 0 || !journal.fits(one.writes + one.zeros, one.writes)) continue;
              const writes = Array.from({ length: one.writes }, () => seed++);
              history.set(next, { sequence: append(journal, writes, one.zeros), writes, zeros: one.zeros });
              next += 1;
            }
          }
          if (index % 3 !== 2) state.powerLoss((write) => kept[write % Math.max(1, kept.length)] ?? false);
          // A process that dies loses nothing of what it wrote.
          else cached = next - 1;
        }
      }),
      { numRuns: 200 },
    );
  });

  test("a record whose payload did not reach the file whole is the end, whichever of its frames it is", async () => {
    for (const frame of [0, 1, 2]) {
      const state = await format(64 * FRAME);
      const opened = open(state, 1);
      await recover(opened);
      append(opened.journal, [1]);
      append(opened.journal, [2, 3, 4]);
      append(opened.journal, [5]);
      const payloadAt = JOURNAL_DATA_START + recordBytes(1, 0) + RECORD_HEADER_BYTES + 3 * ENTRY_BYTES;
      state.cached[payloadAt + frame * FRAME + 4000]! ^= 1;
      expect((await recover(open(state, 2))).map((record) => record.writes)).toEqual([[1]]);
    }
  });

  test("a record of an older epoch does not come back behind the mark that leads to the one written in its place", async () => {
    const state = await format(12 * FRAME);
    const first = open(state, 1);
    await recover(first);
    for (const writes of [
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ])
      append(first.journal, writes);
    first.journal.whenSynced(3, () => undefined);
    first.file.endSyncs();
    first.journal.trim(3);
    first.file.endSyncs();
    expect(first.journal.fits(3, 3)).toBe(true);
    // The mark at the end of the file is lost, what it leads to is not.
    append(first.journal, [10, 11, 12]);
    state.powerLoss((write) => write > 0);

    const second = open(state, 2);
    expect((await recover(second)).map(({ writes }) => writes)).toEqual([[7, 8, 9]]);
    append(second.journal, [13, 14, 15]);
    state.powerLoss((write) => write === 0);
    expect((await recover(open(state, 3))).map(({ writes }) => writes)).toEqual([[7, 8, 9]]);
  });

  test("a record of an older epoch does not come back behind the records that were written in its place", async () => {
    const state = await format(64 * FRAME);
    const first = open(state, 1);
    await recover(first);
    append(first.journal, [1]);
    first.journal.whenSynced(1, () => undefined);
    first.file.endSyncs();
    append(first.journal, [2]);
    append(first.journal, [3]);
    // The power fails: of the two that were not durable the later one is there.
    state.powerLoss((write) => write === 1);

    const second = open(state, 2);
    expect((await recover(second)).map((record) => record.writes)).toEqual([[1]]);
    append(second.journal, [22]);
    second.journal.whenSynced(2, () => undefined);
    second.file.endSyncs();
    // Everything is destaged, and the tail moves to where the old third record lies.
    second.journal.trim(3);
    second.file.endSyncs();

    const third = open(state, 3);
    expect(await recover(third)).toEqual([]);
    expect(third.journal.nextSequence).toBe(3);
  });
});

describe("Journal: what it refuses to recover (architecture, invariant 8)", () => {
  async function withRecords(count: number): Promise<MemoryJournalState> {
    const state = await format(64 * FRAME);
    const opened = open(state, 1);
    await recover(opened);
    for (let n = 1; n <= count; n++) {
      append(opened.journal, [n]);
      opened.journal.whenSynced(n, () => undefined);
      opened.file.endSyncs();
    }
    return state;
  }

  async function refusal(state: MemoryJournalState, options: { identity?: string } = {}): Promise<string | undefined> {
    return recover(open(state, 9, options)).then(
      () => undefined,
      (error: unknown) => (error as JournalError).kind,
    );
  }

  /** Version 1 was summed with CRC32C. */
  function asVersion1(state: MemoryJournalState): MemoryJournalState {
    for (const at of SUPERBLOCK_POSITIONS) {
      const bytes = Buffer.from(state.cached.subarray(at, at + SUPERBLOCK_BYTES));
      bytes.writeUInt32LE(1, 8);
      bytes.writeUInt32LE(dataCrc32c(bytes.subarray(8)), 4);
      state.cached.set(bytes, at);
    }
    return state;
  }

  test("version 1, which had another checksum, is known for what it is, and never made anew", async () => {
    const first = asVersion1(await withRecords(1));
    expect(await refusal(first)).toBe("version");
    expect(() => refuseForeignJournal(new MemoryJournalFile(first), "ff112233445566778899aabbccddeeff")).toThrow(
      /format version/,
    );
  });

  test("another journal, another version, no superblock, another size", async () => {
    expect(await refusal(await withRecords(1), { identity: "ff112233445566778899aabbccddeeff" })).toBe("foreign");
    expect(await refusal(await withRecords(1), { identity: "00112233445566778899aabbccddeef0" })).toBe("foreign");

    const version = await withRecords(1);
    const at = SUPERBLOCK_POSITIONS[1];
    const bytes = Buffer.from(version.cached.subarray(at, at + SUPERBLOCK_BYTES));
    bytes.writeUInt32LE(99, 8);
    bytes.writeUInt32LE(dataChecksum(bytes.subarray(8)), 4);
    version.cached.set(bytes, at);
    expect(await refusal(version)).toBe("version");

    const blank = await withRecords(1);
    for (const position of SUPERBLOCK_POSITIONS) blank.cached.fill(0, position, position + 128);
    expect(await refusal(blank)).toBe("damaged");

    const cut = await withRecords(1);
    const shorter = new MemoryJournalState(cut.cached.length - FRAME);
    shorter.cached.set(cut.cached.subarray(0, shorter.cached.length));
    expect(await refusal(shorter)).toBe("damaged");
  });

  test("one damaged superblock is no harm: the other counts", async () => {
    const state = await format(64 * FRAME);
    const opened = open(state, 1);
    await recover(opened);
    for (let n = 1; n <= 3; n++) append(opened.journal, [n]);
    opened.journal.trim(4);
    opened.file.endSyncs();
    append(opened.journal, [4]);
    const good = state.cached.slice();
    for (const position of SUPERBLOCK_POSITIONS) {
      state.cached.set(good);
      state.cached[position + 20]! ^= 1;
      const records = await recover(open(state, 2));
      // The older superblock names an older tail: more comes back, never less.
      expect(records.at(-1)!.writes).toEqual([4]);
    }
  });

  test("the superblock with the higher counter counts, whichever slot it is in", async () => {
    for (const slots of [SUPERBLOCK_POSITIONS, [...SUPERBLOCK_POSITIONS].reverse()]) {
      const state = await withRecords(3);
      const base = {
        identity: IDENTITY,
        syncedSequence: 0,
        tailEpoch: 0,
        ownerEpoch: 0,
        fileBytes: state.cached.length,
        mapSequence: 0,
      };
      const size = recordBytes(1, 0);
      state.cached.set(encodeSuperblock({ ...base, counter: 5, tailOffset: size, tailSequence: 2 }), slots[0]);
      state.cached.set(encodeSuperblock({ ...base, counter: 6, tailOffset: 2 * size, tailSequence: 3 }), slots[1]);
      expect((await recover(open(state, 9))).map((record) => record.sequence)).toEqual([3]);
    }
  });

  test("a journal whose durable end is gone: the superblock tells what had been durable", async () => {
    const state = await withRecords(4);
    const opened = open(state, 2);
    await recover(opened);
    opened.journal.whenSynced(4, () => undefined);
    opened.file.endSyncs();
    opened.journal.trim(2);
    // Space is asked for, so that the small trim is worth a superblock.
    opened.journal.fits(1000, 1000);
    opened.file.endSyncs();
    const third = JOURNAL_DATA_START + 2 * recordBytes(1, 0);
    state.cached.fill(0, third, third + recordBytes(1, 0));
    expect(await refusal(state)).toBe("damaged");
  });

  test("a journal whose durable end is gone: a later record tells what had been durable before it", async () => {
    const state = await format(64 * FRAME);
    const opened = open(state, 1);
    await recover(opened);
    for (let n = 1; n <= 3; n++) append(opened.journal, [n]);
    opened.journal.whenSynced(3, () => undefined);
    opened.file.endSyncs();
    append(opened.journal, [4]);
    opened.journal.trim(2);
    opened.journal.fits(1000, 1000);
    opened.file.endSyncs();
    // The superblock of before, and the whole of record 4's durable predecessors cut off behind record 4's own header.
    const second = JOURNAL_DATA_START + recordBytes(1, 0);
    state.cached.fill(0, second, second + RECORD_HEADER_BYTES);
    expect(await refusal(state)).toBe("damaged");
  });
});
