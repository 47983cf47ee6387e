/**
 * The journal of an open pool: one file, or two that hold the same. Keeps on record which of them missed writes, and makes
 * whole the one that did. (Which of them may be trusted when the pool opens: journal-claim.ts.)
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. Nothing is written to a copy that is not in step before the document says that it is lost.
 *  2. A loss is on record before anything is acknowledged that the lost copy has not (mirrored-journal-file.ts).
 */
import type { JournalFile, JournalFileError } from "../../drivers/journal-file/journal-file.ts";
import { MirroredJournalFile } from "../../drivers/journal-file/mirrored-journal-file.ts";
import type { Journal } from "../journal/journal.ts";
import type { JournalCopyDocument } from "./pool-document.ts";
import type { OpenPoolOptions } from "./pool-members.ts";
import type { PoolRecord } from "./pool-record.ts";
import { breathe } from "./runtime.ts";

export const COPY_NAMES = ["journal", "mirror of the journal"] as const;

/** One of the files, once the pool's new owner has claimed it. */
export interface ClaimedCopy {
  /** Undefined: it can't be had. */
  readonly file: JournalFile | undefined;
  /** Undefined: it is in step. */
  readonly reason: string | undefined;
  /** The journal that it was last a copy of, if that was another one. */
  readonly journalId?: string | undefined;
}

export class JournalCopies {
  readonly journalId: string;
  readonly file: JournalFile;
  readonly #options: OpenPoolOptions;
  /** Undefined: a journal that never had a mirror. */
  #states: JournalCopyDocument[] | undefined;
  #record: PoolRecord | undefined;
  /** Losses that came before there was a record to put them on. */
  readonly #early: (() => void)[] = [];

  /** @param claimed.truth - whose content is right: recovery reads it, and fills in what it lacks from one that is in step */
  constructor(
    options: OpenPoolOptions,
    journalId: string,
    claimed: { readonly copies: readonly ClaimedCopy[]; readonly truth: number; readonly mirrored: boolean },
  ) {
    const { copies, truth, mirrored } = claimed;
    this.#options = options;
    this.journalId = journalId;
    if (mirrored) {
      this.#states = copies.map((copy) => stateOf(copy, journalId));
    }
    this.file =
      copies.length === 1
        ? copies[0]!.file!
        : new MirroredJournalFile({
            copies: copies.map(({ file }) => file),
            truth,
            inStep: copies.map(({ reason }) => reason === undefined),
            onLost: (copy, error) => this.#lost(copy, error),
          });
  }

  /** For the document that opening the pool writes. */
  get documents(): readonly JournalCopyDocument[] | undefined {
    return this.#states?.slice();
  }

  /** From now on losses are put on record here, those included that came since `documents` was asked for. */
  async attach(record: PoolRecord): Promise<void> {
    this.#record = record;
    if (this.#early.length === 0) return;
    await this.#write();
    for (const recorded of this.#early.splice(0)) recorded();
  }

  /** After recovery, before the pool serves: the copies that lack something are made whole. */
  async mend(journal: Journal): Promise<void> {
    const { runtime, config, pagesKept } = this.#options;
    this.#tellLost();
    const mended = await journal.mend(() => breathe(runtime), pagesKept !== true);
    if (mended.length === 0) return;
    runtime.reached("journal.copyWhole");
    for (const copy of mended) this.#states![copy] = { state: "online" };
    await this.#write();
    for (const copy of mended) {
      runtime.raise({
        severity: "info",
        type: "journal.copyRestored",
        subject: `pool ${config.name}`,
        message: `the ${COPY_NAMES[copy]} of pool ${config.name} is whole again`,
      });
    }
  }

  async #lost(copy: number, error: JournalFileError): Promise<void> {
    this.#states![copy] = { state: "lost", reason: error.message };
    this.#tell(copy, error.message);
    if (this.#record === undefined) {
      await new Promise<void>((recorded) => this.#early.push(recorded));
      return;
    }
    await this.#write();
  }

  async #write(): Promise<void> {
    const journalCopies = this.#states?.slice();
    if (journalCopies !== undefined) await this.#record!.update((old) => ({ ...old, journalCopies }));
  }

  #tellLost(): void {
    this.#states?.forEach(({ state, reason }, copy) => {
      // A mirror that is not configured any more is nobody's loss.
      if (state === "lost" && this.#copyIsWanted(copy)) this.#tell(copy, reason ?? "unknown reason");
    });
  }

  #copyIsWanted(copy: number): boolean {
    return copy === 0 || this.#options.journal.mirror !== undefined;
  }

  #tell(copy: number, reason: string): void {
    const { runtime, config } = this.#options;
    runtime.raise({
      severity: "critical",
      type: "journal.copyLost",
      subject: `pool ${config.name}`,
      message: `the ${COPY_NAMES[copy]} of pool ${config.name} is lost, and the pool goes on with the other copy: ${reason}`,
    });
  }
}

function stateOf({ reason, journalId }: ClaimedCopy, current: string): JournalCopyDocument {
  if (reason === undefined) return { state: "online" };
  return { state: "lost", reason, ...(journalId === undefined || journalId === current ? {} : { journalId }) };
}
