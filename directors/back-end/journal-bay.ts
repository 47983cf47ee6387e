/**
 * The journal file of one pool, as `openPool` asks for it: the one that is there, or the blank one that main made.
 *
 * Runs on: the director that owns the pool. Owns: the open file.
 */
import { rmSync } from "node:fs";
import { type FileJournal, openJournalFile } from "../../drivers/journal-file/file-journal.ts";
import { JournalFileError } from "../../drivers/journal-file/journal-file.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import type { JournalBay } from "../../src/volume/pool-members.ts";
import type { DirectorPool } from "../director-messages.ts";

export class FileJournalBay implements JournalBay {
  readonly #global: GlobalMemory;
  readonly #pool: DirectorPool;
  readonly #directorIndex: number;
  readonly #onOpened: (file: FileJournal) => void;
  #taken = false;

  /** @param options.onOpened - the file must be drained from then on */
  constructor(options: {
    global: GlobalMemory;
    pool: DirectorPool;
    directorIndex: number;
    onOpened: (file: FileJournal) => void;
  }) {
    this.#global = options.global;
    this.#pool = options.pool;
    this.#directorIndex = options.directorIndex;
    this.#onOpened = options.onOpened;
  }

  open(): FileJournal | undefined {
    // A blank file that main has just made is none: what the pool had is missing.
    return this.#pool.journalMade ? undefined : this.#openFile();
  }

  create(): FileJournal {
    if (!this.#pool.journalMade) throw new JournalFileError("foreign", `${this.#pool.journalFile} is there already`);
    return this.#openFile();
  }

  /** The pool was not opened: a blank file must not stand in for the missing one at the next start. */
  giveUp(): void {
    if (this.#pool.journalMade && !this.#taken) rmSync(this.#pool.journalFile, { force: true });
  }

  #openFile(): FileJournal {
    this.#taken = true;
    const { index, journalFile } = this.#pool;
    const file = openJournalFile(journalFile, { global: this.#global, pool: index, director: this.#directorIndex });
    this.#onOpened(file);
    return file;
  }
}
