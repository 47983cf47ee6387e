/**
 * A journal's file in memory, with a page cache of its own: for tests.
 *
 * `MemoryJournalState` is the file and survives its users. A process that dies loses nothing of what was written; the
 * power loses what no sync covered.
 */
import { type JournalFile, JournalFileError } from "./journal-file.ts";

export class MemoryJournalState {
  /** What reads see: the page cache. */
  readonly cached: Uint8Array;
  /** What survives power loss. */
  readonly durable: Uint8Array;
  /** Positions and lengths written since the last sync. */
  unsynced: { readonly position: number; readonly bytes: number }[] = [];

  constructor(bytes: number) {
    this.cached = new Uint8Array(bytes);
    this.durable = new Uint8Array(bytes);
  }

  /**
   * The power fails: of the writes that no sync covered, those that `kept` picks are there anyway (a page cache writes
   * back in any order), the others are not.
   */
  powerLoss(kept: (write: number) => boolean = () => false): void {
    this.unsynced.forEach((write, index) => {
      if (kept(index)) this.#harden(write);
    });
    this.unsynced = [];
    this.cached.set(this.durable);
  }

  sync(): void {
    for (const write of this.unsynced) this.#harden(write);
    this.unsynced = [];
  }

  /** A sync fails: what it was for is read as it was written, and no later sync covers it. */
  syncFails(): void {
    this.unsynced = [];
  }

  #harden({ position, bytes }: { readonly position: number; readonly bytes: number }): void {
    this.durable.set(this.cached.subarray(position, position + bytes), position);
  }
}

export class MemoryJournalFile implements JournalFile {
  readonly bytes: number;
  readonly #state: MemoryJournalState;
  #failure: JournalFileError | undefined;
  #closed = false;
  #waiting: ((error: JournalFileError | undefined) => void)[] = [];
  /** The next write or sync fails: faults on command. */
  failNext: "write" | "sync" | undefined;
  /** The disk is full: of what is written so many bytes come to be there. */
  roomBytes = Number.POSITIVE_INFINITY;
  /** Syncs end only by `endSyncs()`, as the test pleases. */
  readonly manualSync: boolean;

  constructor(state: MemoryJournalState, options: { manualSync?: boolean } = {}) {
    this.#state = state;
    this.bytes = state.cached.byteLength;
    this.manualSync = options.manualSync ?? false;
  }

  write(position: number, buffers: readonly Uint8Array[]): void {
    this.#checkUsable();
    let bytes = 0;
    for (const buffer of buffers) bytes += buffer.byteLength;
    if (!(position >= 0 && position + bytes <= this.bytes)) {
      throw new RangeError(`journal file: ${bytes} bytes at ${position} are not within ${this.bytes}`);
    }
    if (this.failNext === "write") throw this.#fail("write failed (fault on command)");
    const written = Math.min(bytes, this.roomBytes);
    let at = position;
    for (const buffer of buffers) {
      this.#state.cached.set(buffer.subarray(0, Math.max(0, position + written - at)), at);
      at += buffer.byteLength;
    }
    if (written > 0) this.#state.unsynced.push({ position, bytes: written });
    if (written < bytes) throw new JournalFileError("noSpace", "journal file: no room (fault on command)");
  }

  read(position: number, target: Uint8Array): number {
    this.#checkUsable();
    const bytes = Math.max(0, Math.min(target.byteLength, this.bytes - position));
    target.set(this.#state.cached.subarray(position, position + bytes));
    return bytes;
  }

  sync(done: (error: JournalFileError | undefined) => void): void {
    this.#checkUsable();
    this.#waiting.push(done);
    if (!this.manualSync && this.#waiting.length === 1) queueMicrotask(() => this.endSyncs());
  }

  /** Everything written so far is durable, and who waits hears of it. */
  endSyncs(): void {
    if (this.#failure !== undefined) return;
    if (this.failNext === "sync") {
      this.#state.syncFails();
      this.#fail("sync failed (fault on command)");
      return;
    }
    this.#state.sync();
    for (const done of this.#waiting.splice(0)) done(undefined);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.endSyncs();
    this.#closed = true;
  }

  #fail(message: string): JournalFileError {
    this.#failure = new JournalFileError("io", `journal file: ${message}`);
    for (const done of this.#waiting.splice(0)) done(this.#failure);
    return this.#failure;
  }

  #checkUsable(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw new JournalFileError("io", "journal file is closed");
  }
}
