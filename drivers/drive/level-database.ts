/**
 * One LevelDB database of a drive, opened on demand, with its sticky errors dealt with.
 *
 * Runs on: the drive thread. Owns: the handle of one folder.
 *
 *      closed ──acquire──► opening ──► open ──close, failed write──► closing ──► closed
 *
 * Invariants:
 *  1. One handle of a folder at a time: callers that come while it opens share that opening.
 *  2. A handle that somebody uses is not closed; a closing waits for its users.
 *  3. After a failed write nothing is written by the handle again: the next write closes it and opens it anew (LevelDB
 *     refuses every write after its first error, and only opening again tells what the failed one left). Reads go on by
 *     the old handle until then, and it is kept while the disk has no room for an opening.
 *  4. Every write is `sync: true`.
 *  5. A known database is never made again: `createIfMissing` is false but in `createLevelDatabase`.
 */
import { Level } from "level";
import type { DiskSpace } from "./disk-space.ts";
import { DriveError } from "./drive.ts";
import { driveErrorOf, type LevelIntent } from "./level-errors.ts";

export type LevelHandle = Level<Uint8Array, Uint8Array>;
export type LevelOperation =
  | { readonly type: "put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: "del"; readonly key: Uint8Array };

export interface LevelTuning {
  /** LevelDB keeps up to two such buffers in memory, and makes tables of this size. */
  readonly writeBufferBytes: number;
  readonly blockCacheBytes: number;
}

/** Table handles of one database; LevelDB takes ten of them for other files. */
const OPEN_FILES_MAX = 138;
/** What an opening writes beside the tables that it makes of the log. */
const OPENING_BYTES = 1024 * 1024;
/** A handle that is closed under the waiter's feet this often in a row has no luck but a bug. */
const ACQUIRE_ATTEMPTS_MAX = 64;

function levelOptions(tuning: LevelTuning) {
  return {
    keyEncoding: "view",
    valueEncoding: "view",
    compression: false,
    cacheSize: tuning.blockCacheBytes,
    maxOpenFiles: OPEN_FILES_MAX,
    writeBufferSize: tuning.writeBufferBytes,
  } as const;
}

/** Makes an empty database in `folder`, which must not have one. Not yet durable. */
export async function createLevelDatabase(folder: string, tuning: LevelTuning): Promise<void> {
  const level: LevelHandle = new Level(folder, { ...levelOptions(tuning), createIfMissing: true, errorIfExists: true });
  await level.open();
  await level.close();
}

export class LevelDatabase {
  readonly folder: string;
  readonly #drive: string;
  readonly #driveFolder: string;
  readonly #tuning: LevelTuning;
  readonly #space: DiskSpace;
  #level: LevelHandle | undefined;
  #opening: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #users = 0;
  #drained: (() => void) | undefined;
  #failedWrite = false;
  #removed = false;

  constructor(options: { folder: string; drive: string; driveFolder: string; tuning: LevelTuning; space: DiskSpace }) {
    this.folder = options.folder;
    this.#drive = options.drive;
    this.#driveFolder = options.driveFolder;
    this.#tuning = options.tuning;
    this.#space = options.space;
  }

  get users(): number {
    return this.#users;
  }

  get isOpen(): boolean {
    return this.#level !== undefined && this.#closing === undefined;
  }

  error(error: unknown, intent: LevelIntent, what: string): DriveError {
    return driveErrorOf(error, { drive: this.#drive, folder: this.#driveFolder, intent, what });
  }

  /** The handle if it is open and fit for that; pair with `release()`. */
  tryAcquire(intent: "read" | "write"): LevelHandle | undefined {
    if (this.#level === undefined || this.#closing !== undefined || this.#removed) return undefined;
    if (this.#failedWrite && intent === "write") return undefined;
    this.#users += 1;
    return this.#level;
  }

  /** The handle, opened if need be; pair with `release()`. */
  async acquire(intent: "read" | "write"): Promise<LevelHandle> {
    for (let attempt = 0; attempt < ACQUIRE_ATTEMPTS_MAX; attempt++) {
      if (this.#removed) throw new DriveError("notFound", this.#drive, `${this.folder} was removed`);
      const handle = this.tryAcquire(intent);
      if (handle !== undefined) return handle;
      if (this.#closing !== undefined) await this.#closing;
      else if (this.#level !== undefined) await this.#closeFailed();
      else await this.#open();
    }
    throw new DriveError("unreachable", this.#drive, `${this.folder} does not stay open`);
  }

  release(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#drained?.();
  }

  /**
   * Writes one atomic batch under a handle that the caller holds, and waits until it is durable.
   * A failure leaves the database to be opened anew by the next `acquire("write")`.
   */
  async write(handle: LevelHandle, operations: LevelOperation[]): Promise<void> {
    try {
      await handle.batch(operations, { sync: true });
    } catch (error) {
      this.#failedWrite = true;
      throw this.error(error, "write", "batch");
    }
  }

  /** Waits for its users, then closes; done also when it is closed. The next `acquire` opens it again. */
  close(): Promise<void> {
    if (this.#closing !== undefined) return this.#closing;
    this.#closing = this.#close().finally(() => {
      this.#closing = undefined;
    });
    return this.#closing;
  }

  /** As `close`, and no `acquire` succeeds from the moment of the call. */
  async closeForRemoval(): Promise<void> {
    this.#removed = true;
    if (this.#closing !== undefined) await this.#closing;
    await this.close();
  }

  /** Closes a handle that no write may use any more, if there is room to open the database again. */
  async #closeFailed(): Promise<void> {
    this.#space.check(2 * this.#tuning.writeBufferBytes + OPENING_BYTES, 0);
    await this.close();
  }

  #open(): Promise<void> {
    this.#opening ??= this.#openOnce().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #openOnce(): Promise<void> {
    const level: LevelHandle = new Level(this.folder, { ...levelOptions(this.#tuning), createIfMissing: false });
    try {
      await level.open();
    } catch (error) {
      await level.close();
      throw this.error(error, "open", `open ${this.folder}`);
    }
    this.#failedWrite = false;
    this.#level = level;
  }

  async #close(): Promise<void> {
    if (this.#opening !== undefined) await this.#opening.catch(() => undefined);
    if (this.#users > 0) {
      await new Promise<void>((drained) => {
        this.#drained = drained;
      });
      this.#drained = undefined;
    }
    const level = this.#level;
    this.#level = undefined;
    if (level === undefined) return;
    try {
      await level.close();
    } catch (error) {
      throw this.error(error, "write", `close ${this.folder}`);
    }
  }
}
