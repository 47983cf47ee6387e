import { journalWithThread } from "../support/journal-fixtures.ts";
import { JOURNAL_BYTES, journalFileContract } from "./journal-file.ts";

journalFileContract("FileJournal with its sync thread", () => journalWithThread(JOURNAL_BYTES));
