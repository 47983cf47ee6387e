/**
 * Journal records of 1 and of 32 blocks: built, appended to a file that takes nothing, appended to a real one (the
 * kernel's page cache; no fdatasync).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createJournalFile } from "../../dist/drivers/journal-file/create-journal-file.js";
import { openJournalFile } from "../../dist/drivers/journal-file/file-journal.js";
import { Journal } from "../../dist/src/journal/journal.js";
import { journalIdWords } from "../../dist/src/journal/record.js";
import { RecordBuilder } from "../../dist/src/journal/record-builder.js";
import { MASK_FULL, makeMemory, VOLUME } from "./memory.mjs";

const IDENTITY = "0123456789abcdef0123456789abcdef";
const FRAME_BYTES = 4096;
const BLOCKS_MAX = 32;
const FILE_BYTES = 32 << 20;

export function cases() {
  const global = makeMemory();
  const views = Array.from({ length: BLOCKS_MAX }, (_, n) =>
    global.view(global.layout.frames + n * 2 * FRAME_BYTES, FRAME_BYTES),
  );
  const folder = mkdtempSync(join(tmpdir(), "varray-micro-"));
  const path = join(folder, "journal");
  createJournalFile(path, FILE_BYTES);
  const file = openJournalFile(path, { global, pool: 0, director: 0 });
  const kinds = {
    "to nowhere": makeJournal({ bytes: FILE_BYTES, write: () => undefined }),
    "to a file": makeJournal({ bytes: FILE_BYTES, write: (position, buffers) => file.write(position, buffers) }),
  };
  const all = [1, BLOCKS_MAX].flatMap((count) => [
    { name: `journal record built and sealed, blocks: ${count}`, batch: 1, run: build(views.slice(0, count)) },
    ...Object.entries(kinds).map(([kind, journal]) => ({
      name: `journal append ${kind}, blocks: ${count}`,
      batch: 1,
      bytes: count * FRAME_BYTES,
      run: append(journal, views.slice(0, count)),
    })),
  ]);
  const close = async () => {
    await file.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return Object.assign(all, { close });
}

/** Its syncs end at once: their cost is not what is asked here. */
function makeJournal({ bytes, write }) {
  return new Journal({
    file: { bytes, write, read: () => 0, sync: (done) => done(undefined), close: () => Promise.resolve() },
    identity: IDENTITY,
    epoch: 1,
    onFailure: (error) => {
      throw error;
    },
    onProgress: () => undefined,
  });
}

function fill(record, views) {
  const entry = { volume: VOLUME, block: 0, mask: MASK_FULL, crc: 0x1234, nexus: 1, initiatorTaskTag: 1 };
  for (let n = 0; n < views.length; n++) {
    entry.block = n;
    record.addWrite(entry);
    record.addPayload(views[n]);
  }
}

function build(views) {
  const record = new RecordBuilder();
  const id = journalIdWords(IDENTITY);
  return () => {
    fill(record, views);
    record.seal(id, { sequence: 1, epoch: 1, syncedSequence: 0 });
    record.clear();
  };
}

function append(journal, views) {
  return () => {
    if (!journal.fits(views.length, views.length)) throw new Error("the journal is full");
    fill(journal.record, views);
    const sequence = journal.commit();
    // All but the last: an empty journal would write its superblock every time.
    journal.trim(sequence);
  };
}
