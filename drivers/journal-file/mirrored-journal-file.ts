/**
 * A journal's file in two copies: every write and every sync goes to both, and one of them may fail.
 *
 *   online ──write or sync failed──► lost ──follow──► following ──joined──► online
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. A copy that is online has every write that returned, and every sync that ended well covered it.
 *  2. A copy that was lost is on record as lost before a sync ends without it; until then `held` says that not even the
 *     page cache of the other is enough for an acknowledgement: the lost copy could be taken for whole at the next start.
 *  3. A copy that is lost is written again only after `follow`, and counts only after `joined`.
 *  4. Without a copy online everything fails, for ever. The last copy online is not lost by finding no room.
 */
import { type JournalFile, JournalFileError, type JournalMirror } from "./journal-file.ts";

type CopyState = "online" | "following" | "lost";

interface MirroredJournalOptions {
  /** Undefined: that copy can't be had. */
  readonly copies: readonly (JournalFile | undefined)[];
  /** Whose content is right; the others are in step with it, or lost. */
  readonly truth: number;
  readonly inStep: readonly boolean[];
  /** Puts it on record; a copy whose loss can't be recorded takes the journal with it. */
  readonly onLost: (copy: number, error: JournalFileError) => Promise<void>;
}

type SyncDone = (error: JournalFileError | undefined) => void;

export class MirroredJournalFile implements JournalFile, JournalMirror {
  readonly bytes: number;
  readonly mirror: JournalMirror = this;
  readonly #copies: readonly (JournalFile | undefined)[];
  readonly #states: CopyState[];
  readonly #onLost: MirroredJournalOptions["onLost"];
  #truth: number;
  #failure: JournalFileError | undefined;
  /** Losses that are not on record yet. */
  #unrecorded = 0;
  readonly #whenRecorded: (() => void)[] = [];

  constructor(options: MirroredJournalOptions) {
    this.#copies = options.copies;
    this.#truth = options.truth;
    this.#states = options.copies.map((_, copy) => (options.inStep[copy] === true ? "online" : "lost"));
    this.#onLost = options.onLost;
    this.bytes = options.copies[options.truth]!.bytes;
  }

  get held(): boolean {
    return this.#unrecorded > 0;
  }

  whenRecorded(go: () => void): void {
    if (this.#unrecorded === 0) go();
    else this.#whenRecorded.push(go);
  }

  get other(): JournalFile | undefined {
    const copy = this.#otherCopy();
    return copy < 0 ? undefined : this.#copies[copy];
  }

  loseOther(error: JournalFileError): void {
    const copy = this.#otherCopy();
    if (copy >= 0) this.#lose(copy, error);
  }

  get lostCopies(): readonly number[] {
    return this.#copies.flatMap((file, copy) => (file?.bytes === this.bytes && this.#states[copy] === "lost" ? [copy] : []));
  }

  follow(copy: number): JournalFile {
    this.#states[copy] = "following";
    return this.#copies[copy]!;
  }

  joined(copy: number): boolean {
    if (this.#states[copy] !== "following") return false;
    this.#states[copy] = "online";
    return true;
  }

  abandon(copy: number, error: JournalFileError): void {
    this.#lose(copy, error);
  }

  write(position: number, buffers: readonly Uint8Array[]): void {
    this.#checkUsable();
    for (let copy = 0; copy < this.#copies.length; copy++) {
      if (this.#states[copy] === "lost") continue;
      try {
        this.#copies[copy]!.write(position, buffers);
      } catch (error) {
        if (!(error instanceof JournalFileError)) throw error;
        const isLast = this.#states[copy] === "online" && this.#states.filter((state) => state === "online").length === 1;
        if (isLast && error.kind === "noSpace") throw error;
        this.#lose(copy, error);
      }
    }
    this.#checkUsable();
  }

  read(position: number, target: Uint8Array): number {
    this.#checkUsable();
    try {
      return this.#copies[this.#truth]!.read(position, target);
    } catch (error) {
      if (!(error instanceof JournalFileError)) throw error;
      this.#lose(this.#truth, error);
    }
    this.#checkUsable();
    return this.#copies[this.#truth]!.read(position, target);
  }

  readAhead(position: number): void {
    this.#copies[this.#truth]!.readAhead?.(position);
  }

  sync(done: SyncDone): void {
    this.#checkUsable();
    let running = 1;
    let covered = false;
    const ended = (): void => {
      running -= 1;
      if (running > 0) return;
      this.#afterRecords(() => done(covered ? this.#failure : this.#failureOr("no copy of the journal could be synced")));
    };
    this.#states.forEach((state, copy) => {
      if (state === "lost") return;
      running += 1;
      this.#syncCopy(copy, (error) => {
        if (error !== undefined) this.#lose(copy, error);
        else if (this.#states[copy] === "online") covered = true;
        ended();
      });
    });
    ended();
  }

  async close(): Promise<void> {
    await Promise.all(this.#copies.map(async (file) => file?.close()));
  }

  #otherCopy(): number {
    return this.#states.findIndex((state, n) => state === "online" && n !== this.#truth);
  }

  #syncCopy(copy: number, done: SyncDone): void {
    try {
      this.#copies[copy]!.sync(done);
    } catch (error) {
      if (!(error instanceof JournalFileError)) throw error;
      done(error);
    }
  }

  #lose(copy: number, error: JournalFileError): void {
    const was = this.#states[copy]!;
    if (was === "lost") return;
    this.#states[copy] = "lost";
    const left = this.#states.indexOf("online");
    if (left < 0) {
      this.#failure ??= error;
      return;
    }
    if (this.#truth === copy) this.#truth = left;
    // One that only follows is on record as lost already; people hear of it all the same.
    if (was === "online") this.#unrecorded += 1;
    this.#onLost(copy, error).then(
      () => this.#recorded(was),
      (cause: unknown) => {
        this.#failure ??= new JournalFileError("io", `${error.message}; and that can't be put on record`, { cause });
        this.#recorded(was);
      },
    );
  }

  #recorded(was: CopyState): void {
    if (was === "online") this.#unrecorded -= 1;
    if (this.#unrecorded === 0) for (const go of this.#whenRecorded.splice(0)) go();
  }

  #afterRecords(go: () => void): void {
    if (this.#failure !== undefined) go();
    else this.whenRecorded(go);
  }

  #failureOr(message: string): JournalFileError {
    return this.#failure ?? new JournalFileError("io", message);
  }

  #checkUsable(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
