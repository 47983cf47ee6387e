/**
 * The journal file of one pool, as `openPool` asks for it: the one that is there, or the blank one that main made.
 *
 * Runs on: the director that owns the pool. Owns: the open file.
 */
import { rmSync } from "node:fs";
import { type FileJournal, openJournalFile } from "../../drivers/journal-file/file-journal.ts";
import { JournalFileError } from "../../drivers/journal-file/journal-file.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import type { JournalCopy } from "../../drivers/shared-memory/journal-sync.ts";
import type { JournalBay } from "../../src/volume/pool-members.ts";
import type { DirectorPool, JournalPlace } from "../director-messages.ts";

export interface FileJournalBayOptions {
  readonly global: GlobalMemory;
  readonly pool: DirectorPool;
  readonly directorIndex: number;
  /** The file must be drained from then on. */
  readonly onOpened: (file: FileJournal) => void;
}

export class FileJournalBay implements JournalBay {
  readonly mirror?: FileJournalBay;
  readonly #options: FileJournalBayOptions;
  readonly #place: JournalPlace;
  readonly #copy: JournalCopy;
  #taken = false;

  constructor(options: FileJournalBayOptions, copy: JournalCopy = 0) {
    const { journal, mirror } = options.pool;
    this.#options = options;
    this.#copy = copy;
    this.#place = copy === 0 ? journal : mirror!;
    if (copy === 0 && mirror !== undefined) this.mirror = new FileJournalBay(options, 1);
  }

  open(): FileJournal | undefined {
    // A blank file that main has just made is none: what the pool had is missing.
    return this.#place.made ? undefined : this.#openFile();
  }

  create(): FileJournal {
    if (!this.#place.made) throw new JournalFileError("foreign", `${this.#place.path} is there already`);
    return this.#openFile();
  }

  /** The pool was not opened: a blank file must not stand in for the missing one at the next start. */
  giveUp(): void {
    if (this.#place.made && !this.#taken) rmSync(this.#place.path, { force: true });
    this.mirror?.giveUp();
  }

  #openFile(): FileJournal {
    this.#taken = true;
    const { global, pool, directorIndex, onOpened } = this.#options;
    const file = openJournalFile(this.#place.path, { global, pool: pool.index, director: directorIndex, copy: this.#copy });
    onOpened(file);
    return file;
  }
}
