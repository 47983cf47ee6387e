import { MemoryJournalFile, MemoryJournalState } from "../../drivers/journal-file/memory-journal-file.ts";
import { JOURNAL_BYTES, journalFileContract } from "./journal-file.ts";

journalFileContract("MemoryJournalFile", async () => {
  const state = new MemoryJournalState(JOURNAL_BYTES);
  return { open: async () => new MemoryJournalFile(state), dispose: async () => undefined };
});
