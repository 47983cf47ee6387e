/**
 * The disk below a pool's journal is full: looks for room, and tells people.
 *
 * The file is preallocated, but a file system may want room all the same (it copies on write, or the file was made sparse).
 *
 *   room ──a record does not fit──▶ the pool is opened anew, as what the record was to hold is in memory already
 *   room ──none when it is opened, or for a superblock──▶ none: writes wait, then are refused (7/27/07); reads go on
 *   none ──room is found──▶ room
 *
 * Runs on: the owning director's thread, once a second.
 */
import type { Journal } from "../journal/journal.ts";
import type { PoolRuntime } from "./runtime.ts";

/** People are told so often while it lasts. */
const TOLD_MILLISECONDS = 60_000;

export class JournalRoom {
  readonly #pool: { readonly name: string; readonly journal: Journal; readonly runtime: PoolRuntime };
  #toldAt: number | undefined;

  constructor(pool: { readonly name: string; readonly journal: Journal; readonly runtime: PoolRuntime }) {
    this.#pool = pool;
  }

  /** The pool has just been opened, perhaps because there was no room. */
  opened(): void {
    this.#pool.journal.findRoom();
    this.#tell();
  }

  tick(): void {
    if (!this.#pool.journal.hasRoom) this.#pool.journal.findRoom();
    this.#tell();
  }

  #tell(): void {
    const { journal, runtime, name } = this.#pool;
    if (journal.failed) return;
    if (!journal.hasRoom) {
      const now = runtime.nowMilliseconds();
      if (this.#toldAt !== undefined && now - this.#toldAt < TOLD_MILLISECONDS) return;
      this.#toldAt = now;
      tellJournalFull(runtime, name, "writes wait, then are refused (7/27/07); reads go on");
      return;
    }
    if (this.#toldAt === undefined) return;
    this.#toldAt = undefined;
    const message = `the journal of pool ${name} has room again: it takes writes`;
    runtime.raise({ severity: "info", type: "journal.hasRoom", subject: `pool ${name}`, message });
  }
}

export function tellJournalFull(runtime: PoolRuntime, pool: string, what: string): void {
  runtime.raise({
    severity: "critical",
    type: "journal.noSpace",
    subject: `pool ${pool}`,
    message: `the disk below the journal of pool ${pool} is full: make room there. Nothing that was acknowledged is lost; ${what}`,
  });
}
