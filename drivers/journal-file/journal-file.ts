/**
 * The journal's file: preallocated, written at positions by its one owner thread, made durable by a thread of its own.
 *
 * It knows nothing of records (src/journal/ does). Writes are synchronous (a write into the page cache takes 2 to 4 µs
 * and can't queue behind LevelDB in libuv's pool; of large ones docs/decisions/0012); fdatasync never runs on the
 * caller's thread.
 */
export class JournalFileError extends Error {
  readonly kind: "io" | "noSpace" | "foreign" | "missing";
  constructor(kind: JournalFileError["kind"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "JournalFileError";
    this.kind = kind;
  }
}

export interface JournalFile {
  /** Size of the file, fixed when it was made. */
  readonly bytes: number;
  /**
   * Writes all of `buffers` one after the other from `position`; when it returns they are in the kernel's page cache.
   * "noSpace": a part of them may be there, and the file goes on. Any other failure is for ever, as that of a sync is.
   */
  write(position: number, buffers: readonly Uint8Array[]): void;
  /** Fills `target` from `position`; returns the bytes read (less only at the end of the file). */
  read(position: number, target: Uint8Array): number;
  /** What lies behind `position` is read next, in order: it may be brought from the disk meanwhile. */
  readAhead?(position: number): void;
  /**
   * Asks for an fdatasync that covers every write made so far. `done` runs on this thread after it returned;
   * requests made while one runs share the next. An fdatasync that fails is fatal to the file: every later call throws.
   */
  sync(done: (error: JournalFileError | undefined) => void): void;
  close(): Promise<void>;
  /** Of a file that is kept in two copies. */
  readonly mirror?: JournalMirror;
}

/** What src/journal has to do with the copies (mirrored-journal-file.ts). */
export interface JournalMirror {
  /** A copy was lost, and that is not on record yet: only a sync makes an acknowledgement safe, as it waits for the record. */
  readonly held: boolean;
  /** Calls once it is not, at once where it is not now. */
  whenRecorded(go: () => void): void;
  /** The copy beside the one that is read, where it is in step: it may have what that one lost in a crash. */
  readonly other: JournalFile | undefined;
  /** That one can't be read. */
  loseOther(error: JournalFileError): void;
  /** Copies that are there and could be made whole again. */
  readonly lostCopies: readonly number[];
  /** From now on that copy gets every write too. */
  follow(copy: number): JournalFile;
  /** It can't be made whole. */
  abandon(copy: number, error: JournalFileError): void;
  /** It is whole, durably. False: it was lost again meanwhile. */
  joined(copy: number): boolean;
}
