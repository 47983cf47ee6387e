import { describe, expect, test } from "vitest";
import { MemoryJournalFile, MemoryJournalState } from "../../../drivers/journal-file/memory-journal-file.ts";
import { Journal } from "../../../src/journal/journal.ts";
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
    await Journal.claim(file, IDENTITY, { known: 1, own: 2 });
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
