/**
 * What the parts of one pool (read path, write path, destager, compactor) share. Wiring, no behaviour but `fail`.
 *
 * Runs on: the owning director's thread.
 */
import type { Drive } from "../../drivers/drive/drive.ts";
import { JournalFileError } from "../../drivers/journal-file/journal-file.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import type { BlockCache } from "../cache/block-cache.ts";
import type { FramePool } from "../cache/frame-pool.ts";
import type { Journal } from "../journal/journal.ts";
import type { PoolMap } from "../map/pool-map.ts";
import type { BulkWork } from "../raid/bulk-work.ts";
import type { DriveHealth } from "../raid/drive-health.ts";
import type { GroupGeometry } from "../raid/geometry.ts";
import { isGroupFailed, isPathLost, type RaidGroup } from "../raid/raid-group.ts";
import type { Staging } from "../raid/staging.ts";
import type { StripeReader } from "../raid/stripe-reader.ts";
import { BLOCK_STATUS, type BlockStatus } from "./block-io.ts";
import type { PendingZeros } from "./pending-zeros.ts";
import { PoolClosedError } from "./pool-closed-error.ts";
import type { PoolVolumeDocument } from "./pool-document.ts";
import type { PoolRuntime } from "./runtime.ts";
import type { Space } from "./space.ts";

export interface VolumeState {
  document: PoolVolumeDocument;
  blockCount: number;
}

/** Per zone slot: who keeps the zone from being emptied. */
export class ZoneUse {
  /** Stripes written whose map entries are not yet durable. */
  readonly uncommitted: Uint32Array;
  /** Strip reads under way. */
  readonly reading: Uint32Array;

  constructor(slotCount: number) {
    this.uncommitted = new Uint32Array(slotCount);
    this.reading = new Uint32Array(slotCount);
  }

  /** Does something that reads from a zone: until it ends the zone is not removed, nor a drive called whole without it. */
  async whileReading<T>(slot: number, work: () => Promise<T>): Promise<T> {
    this.reading[slot]! += 1;
    try {
      return await work();
    } finally {
      this.reading[slot]! -= 1;
    }
  }
}

export interface PoolParts {
  readonly index: number;
  readonly name: string;
  readonly global: GlobalMemory;
  readonly geometry: GroupGeometry;
  readonly frames: FramePool;
  readonly cache: BlockCache;
  readonly journal: Journal;
  readonly map: PoolMap;
  readonly group: RaidGroup;
  readonly staging: Staging;
  readonly reader: StripeReader;
  readonly bulk: BulkWork;
  readonly zeros: PendingZeros;
  readonly zoneUse: ZoneUse;
  readonly space: Space;
  readonly volumes: Map<number, VolumeState>;
  readonly counters: Float64Array;
  readonly runtime: PoolRuntime;
  readonly health: PoolHealth;
  readonly driveHealth: DriveHealth;
}

/**
/**
 * What brings a pool that has failed back, by its being opened anew. path: that its drives can be reached again. reopening:
 * nothing but that, as the journal's disk had no room for what was in memory already. drives: the same, but with more of them
 * lost than it can do without; what the others have can be read (readonly-pool.ts).
 */
export type PoolCure = "path" | "reopening" | "drives" | undefined;

/** Whether the pool can serve; once failed it stays so until it is opened anew. */
export class PoolHealth {
  #error: Error | undefined;
  #cure: PoolCure;
  readonly #onFail: (reason: string) => void;

  constructor(onFail: (reason: string) => void) {
    this.#onFail = onFail;
  }

  get failed(): boolean {
    return this.#error !== undefined;
  }

  /** Nothing is broken, or only drives are. */
  get cure(): PoolCure {
    return this.#cure;
  }

  /** What I/O of a failed pool ends with. */
  get status(): BlockStatus {
    if (this.#cure === "path") return BLOCK_STATUS.unreachable;
    return this.#cure === undefined ? BLOCK_STATUS.failed : BLOCK_STATUS.reopening;
  }

  get reason(): string | undefined {
    return this.#error?.message;
  }

  /** What it failed for. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** The pool has another owner from now on: what of this one still fails concerns nobody. */
  letGo(): void {
    this.#error ??= new PoolClosedError();
  }

  fail(error: unknown): void {
    if (this.#error !== undefined) return;
    this.#error = error instanceof Error ? error : new Error(String(error));
    if (isPathLost(error)) this.#cure = "path";
    else if (error instanceof JournalFileError && error.kind === "noSpace") this.#cure = "reopening";
    else if (isGroupFailed(error)) this.#cure = "drives";
    this.#onFail(this.#error.message);
  }
}

/** One drive of a pool as its bay found it. */
export type BayDrive =
  | { readonly state: "open"; readonly drive: Drive; readonly driveId: string; readonly capacityBytes: number }
  /** blank: there is no drive in the folder, and there may be made one. */
  | { readonly state: "blank" }
  | {
      readonly state: "unavailable";
      readonly memberState: "missing" | "failed" | "foreign";
      readonly reason: string;
      /** To ask again, later. */
      readonly drive?: Drive;
    };
