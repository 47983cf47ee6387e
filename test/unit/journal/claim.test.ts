import { describe, expect, test } from "vitest";
import { MemoryJournalFile, MemoryJournalState } from "../../../drivers/journal-file/memory-journal-file.ts";
import { Journal } from "../../../src/journal/journal.ts";
import { newestSuperblock } from "../../../src/journal/journal-reader.ts";
import { JOURNAL_DATA_START } from "../../../src/journal/record.ts";

const IDENTITY = "00112233445566778899aabbccddeeff";

async function made(): Promise<MemoryJournalFile> {
  const file = new MemoryJournalFile(new MemoryJournalState(JOURNAL_DATA_START + 65536));
  await Journal.format(file, IDENTITY, 1);
  return file;
}

/** What a copy of the journal's file, made now, would hold. */
function superblocks(file: MemoryJournalFile): Buffer {
  const bytes = Buffer.alloc(JOURNAL_DATA_START);
  file.read(0, bytes);
  return bytes;
}

describe("journal: claim by a new owner", () => {
  test("takes the journal of the owner that the drives know", async () => {
    const file = await made();
    await Journal.claim(file, IDENTITY, { known: 1, own: 2 });
    await Journal.claim(file, IDENTITY, { known: 2, own: 3 });
  });

  test("takes it again when the drives did not hear of the last claim: the array was killed between the two", async () => {
    const file = await made();
    await Journal.claim(file, IDENTITY, { known: 1, own: 2 });
    await Journal.claim(file, IDENTITY, { known: 1, own: 3 });
  });

  test("never for an epoch that the journal has had: some drive may know more of it than those that are there", async () => {
    const file = await made();
    await Journal.claim(file, IDENTITY, { known: 1, own: 3 });
    for (const own of [2, 3]) await expect(Journal.claim(file, IDENTITY, { known: 1, own })).rejects.toThrow(RangeError);
  });

  test("of several copies goes on from the highest of their counters, and never over the newest head of its own", async () => {
    const [behind, ahead] = [await made(), await made()];
    for (let epoch = 2; epoch < 5; epoch++) await Journal.claim(ahead, IDENTITY, { known: 1, own: epoch });
    // By one and by two in turn: where the last head goes the newest one of its own may be.
    for (const raises of [1, 2, 1, 2, 3]) {
      const head = newestSuperblock(ahead, IDENTITY);
      const before = newestSuperblock(behind, IDENTITY);
      const write = behind.write.bind(behind);
      let left: number | undefined;
      behind.write = (position, buffers) => {
        write(position, [Buffer.alloc(128, 0xee)]);
        left ??= newestSuperblock(behind, IDENTITY).counter;
        write(position, buffers);
      };
      const own = head.ownerEpoch + 1;
      await Journal.claim(behind, IDENTITY, { known: 1, own }, head);
      behind.write = write;
      expect(left).toBe(before.counter);
      expect(newestSuperblock(behind, IDENTITY)).toEqual({ ...head, counter: head.counter + 1, ownerEpoch: own });
      for (let n = 0; n < raises; n++) await Journal.claim(ahead, IDENTITY, { known: 1, own: own + n });
    }
  });

  test("refuses a copy from before the last claim, whichever superblock it went into", async () => {
    const file = await made();
    for (let epoch = 2; epoch < 6; epoch++) {
      const older = superblocks(file);
      await Journal.claim(file, IDENTITY, { known: epoch - 1, own: epoch });
      const current = superblocks(file);
      file.write(0, [older]);
      await expect(Journal.claim(file, IDENTITY, { known: epoch, own: epoch + 1 })).rejects.toMatchObject({ kind: "older" });
      file.write(0, [current]);
    }
  });

  test("refuses another journal", async () => {
    const file = await made();
    await expect(Journal.claim(file, "ff".repeat(16), { known: 1, own: 2 })).rejects.toMatchObject({ kind: "foreign" });
  });
});
