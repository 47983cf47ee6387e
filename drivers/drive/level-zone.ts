/**
 * One zone of a LevelDB drive: strips under rising 4-byte big-endian numbers in a database of its own.
 *
 * Runs on: the drive thread. Owns: the zone's database.
 * Invariants:
 *  1. Strips are written in rising order; a strip is never written twice. Gaps are allowed: the place of a write whose
 *     outcome is unknown is skipped by its owner.
 *  2. Writes are checked and handed to LevelDB in the order of their calls; several may be under way.
 *  3. A batch of strips is one LevelDB batch: all or none.
 *  4. After a failed write the next one learns from the database itself where the zone ends.
 */
import type { GlobalMemory } from "../shared-memory/global-memory.ts";
import { DriveError, type DriveGeometry, type PartsRead, type StripRead, type StripWrite, type ZoneNumber } from "./drive.ts";
import type { LevelDatabase, LevelHandle, LevelOperation } from "./level-database.ts";
import { deliverParts } from "./strip-parts.ts";

const KEY_BYTES = 4;
/** LevelDB's own block cache would copy what is mapped already. */
const UNCACHED = { keyEncoding: "view", fillCache: false } as const;

function stripKey(strip: number): Buffer {
  const key = Buffer.allocUnsafe(KEY_BYTES);
  key.writeUInt32BE(strip);
  return key;
}

export class LevelZone {
  readonly zone: ZoneNumber;
  readonly database: LevelDatabase;
  readonly #drive: string;
  readonly #geometry: DriveGeometry;
  readonly #global: GlobalMemory;
  finished: boolean;
  /** One past the last strip written; undefined until the database was asked. */
  #nextStrip: number | undefined;
  /** The start of the last write asked for: the next one starts after it. */
  #turn: Promise<void> = Promise.resolve();
  #writesUnderWay = 0;
  #writesEnded: (() => void)[] = [];
  /** LevelDB copies a key at once, so that one buffer serves all reads of this thread. */
  readonly #readKey = Buffer.alloc(KEY_BYTES);

  constructor(options: {
    zone: ZoneNumber;
    finished: boolean;
    database: LevelDatabase;
    drive: string;
    geometry: DriveGeometry;
    global: GlobalMemory;
  }) {
    this.zone = options.zone;
    this.finished = options.finished;
    this.database = options.database;
    this.#drive = options.drive;
    this.#geometry = options.geometry;
    this.#global = options.global;
  }

  /** A zone that was just made: it needs no look for its end. */
  setEmpty(): void {
    this.#nextStrip = 0;
  }

  /** Reads at once if the database is open; false when it has to be opened first (`readStrips`). */
  tryReadStrips(read: StripRead): boolean {
    const handle = this.database.tryAcquire("read");
    if (handle === undefined) return false;
    try {
      this.#read(handle, read);
    } finally {
      this.database.release();
    }
    return true;
  }

  async readStrips(read: StripRead): Promise<void> {
    const handle = await this.database.acquire("read");
    try {
      this.#read(handle, read);
    } finally {
      this.database.release();
    }
  }

  /** Reads at once if the database is open; false when it has to be opened first. */
  tryReadParts(read: PartsRead): boolean {
    const handle = this.database.tryAcquire("read");
    if (handle === undefined) return false;
    try {
      deliverParts(this.#global, this.#get(handle, read.strip), read);
    } finally {
      this.database.release();
    }
    return true;
  }

  /** Opens the database if need be, and reads in libuv's pool: for a disk that is worth several reads at a time. */
  async readParts(read: PartsRead): Promise<void> {
    const { strip } = read;
    const handle = await this.database.acquire("read");
    try {
      let value: Uint8Array | undefined;
      try {
        value = await handle.get(stripKey(strip), UNCACHED);
      } catch (error) {
        throw this.database.error(error, "read", `zone ${this.zone} strip ${strip}`);
      }
      deliverParts(this.#global, this.#checked(value, strip), read);
    } finally {
      this.database.release();
    }
  }

  /** Whether the strips are there with these bytes. */
  async hasStrips(write: StripWrite): Promise<boolean> {
    const handle = await this.database.acquire("read");
    try {
      for (let index = 0; index < write.count; index++) {
        const found = handle.getSync(stripKey(write.firstStrip + index), UNCACHED);
        const at = write.address + index * write.strideBytes;
        if (found === undefined || Buffer.compare(found, this.#global.view(at, this.#geometry.stripBytes)) !== 0) return false;
      }
      return true;
    } catch (error) {
      throw this.database.error(error, "read", `zone ${this.zone} strips ${write.firstStrip} + ${write.count}`);
    } finally {
      this.database.release();
    }
  }

  async writeStrips(write: StripWrite): Promise<void> {
    let turnEnded: () => void = () => undefined;
    const previous = this.#turn;
    this.#turn = new Promise((resolve) => {
      turnEnded = resolve;
    });
    this.#writesUnderWay += 1;
    try {
      await previous;
      await this.#write(write, turnEnded);
    } finally {
      turnEnded();
      this.#writesUnderWay -= 1;
      if (this.#writesUnderWay === 0) for (const ended of this.#writesEnded.splice(0)) ended();
    }
  }

  /** Puts what `change` makes of a strip in its place, whatever the zone's order says: for faults on command. */
  async changeStrip(strip: number, change: (held: Buffer | undefined) => Uint8Array | undefined): Promise<void> {
    const handle = await this.database.acquire("write");
    try {
      const held = handle.getSync(stripKey(strip), UNCACHED);
      const value = change(held as Buffer | undefined);
      if (value !== undefined) await this.database.write(handle, [{ type: "put", key: stripKey(strip), value }]);
      else if (held !== undefined) await this.database.write(handle, [{ type: "del", key: stripKey(strip) }]);
    } finally {
      this.database.release();
    }
  }

  /** Resolves when no write is under way. */
  async writesDrained(): Promise<void> {
    if (this.#writesUnderWay === 0) return;
    await new Promise<void>((ended) => this.#writesEnded.push(ended));
  }

  async #write(write: StripWrite, turnEnded: () => void): Promise<void> {
    const handle = await this.database.acquire("write");
    let failure: unknown;
    try {
      this.#nextStrip ??= await this.#findEnd(handle);
      this.#checkOrder(write);
      this.#nextStrip = write.firstStrip + write.count;
      const done = this.database.write(handle, this.#operations(write));
      turnEnded();
      await done;
      return;
    } catch (error) {
      if (error instanceof DriveError && error.kind === "invalid") throw error;
      failure = error;
      this.#nextStrip = undefined;
    } finally {
      this.database.release();
    }
    throw await this.#verdict(write, failure);
  }

  #checkOrder(write: StripWrite): void {
    if (this.finished) throw new DriveError("invalid", this.#drive, `zone ${this.zone} is finished`);
    if (write.firstStrip < this.#nextStrip!) {
      throw new DriveError(
        "invalid",
        this.#drive,
        `zone ${this.zone}: strip ${write.firstStrip} comes after strip ${this.#nextStrip! - 1}`,
      );
    }
  }

  #operations(write: StripWrite): LevelOperation[] {
    const { stripBytes } = this.#geometry;
    const operations: LevelOperation[] = [];
    for (let index = 0; index < write.count; index++) {
      const at = write.address + index * write.strideBytes;
      operations.push({
        type: "put",
        key: stripKey(write.firstStrip + index),
        value: this.#global.u8.subarray(at, at + stripBytes),
      });
    }
    return operations;
  }

  #read(handle: LevelHandle, read: StripRead): void {
    for (let index = 0; index < read.count; index++) {
      // Buffer.copy, as a misaligned TypedArray.set into shared memory is several times slower.
      this.#get(handle, read.firstStrip + index).copy(this.#global.u8, read.address + index * read.strideBytes);
    }
  }

  /** A strip's value, whole. */
  #get(handle: LevelHandle, strip: number): Buffer {
    this.#readKey.writeUInt32BE(strip);
    let value: Uint8Array | undefined;
    try {
      value = handle.getSync(this.#readKey, UNCACHED);
    } catch (error) {
      throw this.database.error(error, "read", `zone ${this.zone} strip ${strip}`);
    }
    return this.#checked(value, strip);
  }

  #checked(value: Uint8Array | undefined, strip: number): Buffer {
    if (value === undefined) throw new DriveError("notFound", this.#drive, `zone ${this.zone} has no strip ${strip}`);
    if (value.byteLength !== this.#geometry.stripBytes) {
      throw new DriveError("unrecoveredRead", this.#drive, `zone ${this.zone} strip ${strip} has ${value.byteLength} bytes`);
    }
    return value as Buffer;
  }

  async #findEnd(handle: LevelHandle): Promise<number> {
    for await (const key of handle.keys({ reverse: true, limit: 1 })) {
      return Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUInt32BE() + 1;
    }
    return 0;
  }

  /** After a failed write: opens the database anew and looks whether the strips are there after all. */
  async #verdict(write: StripWrite, failure: unknown): Promise<DriveError> {
    const error = this.database.error(failure, "write", `zone ${this.zone} strips ${write.firstStrip} + ${write.count}`);
    if (error.kind === "notFound" || error.kind === "unreachable") return error;
    try {
      const handle = await this.database.acquire("write");
      try {
        this.#nextStrip = await this.#findEnd(handle);
      } finally {
        this.database.release();
      }
    } catch (cause) {
      return new DriveError("unknown", this.#drive, `zone ${this.zone} can't be opened after a failed write`, { cause });
    }
    if (this.#nextStrip < write.firstStrip + write.count) return error;
    return new DriveError("unknown", this.#drive, error.message, { cause: error });
  }
}
