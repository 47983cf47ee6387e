/**
 * The metadata database of a LevelDB drive: its callers' keys, and its own label and zone states.
 *
 * Runs on: the drive thread. Owns: `<drive>/meta/`.
 * Callers' keys lie under "k", the drive's own under "!", so that neither can reach the other's.
 */
import type { DiskSpace } from "./disk-space.ts";
import { DriveError, type MetadataOperation, type MetadataPage, type MetadataRange } from "./drive.ts";
import { METADATA_ENTRY_OVERHEAD_BYTES, METADATA_PAGE_BYTES_MAX } from "./drive-checks.ts";
import type { LevelDatabase, LevelHandle, LevelOperation } from "./level-database.ts";

const CALLER = "k";
const OWN = "!";
/** Entries that one step of a scan takes from LevelDB. */
const SCAN_STEP_ENTRIES = 256;

export type OwnKey = "label" | "retired" | `finished/${string}`;

function encodeKey(prefix: string, key: string): Buffer {
  return Buffer.from(prefix + key, "latin1");
}

export class LevelMetadata {
  readonly database: LevelDatabase;
  readonly #drive: string;
  readonly #space: DiskSpace;

  constructor(drive: string, database: LevelDatabase, space: DiskSpace) {
    this.#drive = drive;
    this.database = database;
    this.#space = space;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#get(encodeKey(CALLER, key));
  }

  async getOwn(key: OwnKey): Promise<Uint8Array | undefined> {
    return this.#get(encodeKey(OWN, key));
  }

  async batch(operations: readonly MetadataOperation[]): Promise<void> {
    let bytes = 0;
    for (const operation of operations) if (operation.type === "put") bytes += operation.value.byteLength;
    this.#space.check(bytes, this.#space.reserve.metadataBytes);
    const batch: LevelOperation[] = [];
    for (const operation of operations) {
      const key = encodeKey(CALLER, operation.key);
      batch.push(operation.type === "put" ? { type: "put", key, value: operation.value } : { type: "del", key });
    }
    await this.#write(batch);
  }

  /** Atomic and durable, as callers' batches are; a value of undefined deletes. */
  async batchOwn(entries: readonly (readonly [key: OwnKey, value: Uint8Array | undefined])[]): Promise<void> {
    const batch: LevelOperation[] = [];
    for (const [name, value] of entries) {
      const key = encodeKey(OWN, name);
      batch.push(value === undefined ? { type: "del", key } : { type: "put", key, value });
    }
    await this.#write(batch);
  }

  async ownKeys(from: OwnKey | "finished/", below: string): Promise<string[]> {
    const handle = await this.database.acquire("read");
    try {
      const keys: string[] = [];
      for await (const key of handle.keys({ gte: encodeKey(OWN, from), lt: encodeKey(OWN, below) })) {
        keys.push(Buffer.from(key).toString("latin1").slice(1));
      }
      return keys;
    } catch (error) {
      throw this.database.error(error, "read", "zone states");
    } finally {
      this.database.release();
    }
  }

  async scan(range: MetadataRange): Promise<MetadataPage> {
    if (range.from >= range.below) return { entries: [], more: false };
    const handle = await this.database.acquire("read");
    try {
      return await this.#scan(handle, range);
    } catch (error) {
      throw this.database.error(error, "read", "metadata scan");
    } finally {
      this.database.release();
    }
  }

  async #scan(handle: LevelHandle, range: MetadataRange): Promise<MetadataPage> {
    const bytesMax = Math.min(range.bytesMax, METADATA_PAGE_BYTES_MAX);
    const iterator = handle.iterator({
      gte: encodeKey(CALLER, range.from),
      lt: encodeKey(CALLER, range.below),
      fillCache: false,
      highWaterMarkBytes: Math.min(bytesMax, 64 * 1024),
    });
    try {
      const entries: (readonly [string, Uint8Array])[] = [];
      let bytes = 0;
      for (;;) {
        const step = await iterator.nextv(SCAN_STEP_ENTRIES);
        if (step.length === 0) return { entries, more: false };
        for (const [key, value] of step) {
          const weight = METADATA_ENTRY_OVERHEAD_BYTES + key.byteLength - 1 + value.byteLength;
          if (entries.length > 0 && bytes + weight > bytesMax) return { entries, more: true };
          bytes += weight;
          entries.push([Buffer.from(key).toString("latin1").slice(1), value]);
        }
      }
    } finally {
      await iterator.close();
    }
  }

  async #get(key: Buffer): Promise<Uint8Array | undefined> {
    const handle = await this.database.acquire("read");
    try {
      return handle.getSync(key);
    } catch (error) {
      throw this.database.error(error, "read", "metadata get");
    } finally {
      this.database.release();
    }
  }

  async #write(batch: LevelOperation[]): Promise<void> {
    if (batch.length === 0) return;
    const handle = await this.database.acquire("write");
    try {
      await this.database.write(handle, batch);
    } catch (error) {
      const failure = this.database.error(error, "write", "metadata batch");
      // Whether a failed batch left its record in the log shows only when it is read again: the caller must look.
      if (failure.kind === "writeFailed") throw new DriveError("unknown", this.#drive, failure.message, { cause: failure });
      throw failure;
    } finally {
      this.database.release();
    }
  }
}
