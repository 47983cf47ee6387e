/**
 * A pool that has lost more drives than its level makes good, served for reading: what the drives that remain have, and all
 * that is in the journal. Decision 0020.
 *
 *   read ─▶ what the journal has of it goes into the cache ─▶ the read path ─▶ right, or MEDIUM ERROR
 *   write, zero ─▶ WRITE PROTECTED
 *   a drive that was away answers ─▶ opened anew, whole if that will do
 *
 * Runs on: the owning director's thread. Made by `openReadOnlyPool`.
 * Invariants:
 *  1. Nothing is written to its drives or its journal: what a drive that comes back finds is what it left.
 *  2. What is read is the newest that was acknowledged, or nothing.
 */
import type { ArrayDocument, FoundVolume, PoolStatus } from "../control/contract.ts";
import type { LostBlocks } from "../map/lost-blocks.ts";
import type { MetadataStore } from "../map/metadata-store.ts";
import { isWritable, type Member } from "../raid/raid-group.ts";
import { BLOCK_BYTES, BLOCK_STATUS, type BlockIo, type BlockStatus, type MappingQuery, type VolumeInfo } from "./block-io.ts";
import type { HeldBlocks, JournalOverlay } from "./journal-overlay.ts";
import { ARRAY_KEY } from "./pool-document.ts";
import type { BayDrive, PoolParts } from "./pool-parts.ts";
import { commonStatus, gauge, lostOf, reasonOf } from "./pool-status.ts";
import { ReadPath } from "./read-path.ts";
import { unreadableBlocks } from "./unreadable.ts";

const TICK_MILLISECONDS = 1000;
/** How often drives that are away are asked whether they are there again. */
const ASK_MILLISECONDS = 5000;

export interface ReadOnlyPoolOptions {
  readonly parts: PoolParts;
  readonly store: MetadataStore;
  readonly overlay: JournalOverlay;
  readonly ownerIndex: number;
  readonly epoch: number;
  readonly driveCapacityBytes: number;
  readonly bays: readonly BayDrive[];
  /** Of all drives that the pool's document counts on. */
  readonly driveIds: readonly string[];
  /** Why it is not served whole. */
  readonly why: string;
  /** It is worth to be opened anew: a drive is there again, or people say so. Called once. */
  readonly onReturn: () => void;
}

export class ReadOnlyPool {
  readonly readOnly = true;
  readonly parts: PoolParts;
  readonly why: string;
  readonly #options: ReadOnlyPoolOptions;
  readonly #overlay: JournalOverlay;
  readonly #reads: ReadPath;
  #cancelTick: (() => void) | undefined;
  #stopped = false;
  #returned = false;
  #asking = false;
  #askedAt = Number.NEGATIVE_INFINITY;
  #unreadable: LostBlocks | undefined;
  /** Members may have been lost since `#unreadable` was found out. */
  #surveying = false;
  #surveyAgain = false;

  constructor(options: ReadOnlyPoolOptions) {
    const { parts } = options;
    this.#options = options;
    this.parts = parts;
    this.why = options.why;
    this.#overlay = options.overlay;
    // Nothing is repaired or given up here. What can't be read is told by `unreadable`, not by an event for each block.
    this.#reads = new ReadPath(parts, { repaired: () => undefined, lost: () => undefined });
  }

  start(): void {
    const { runtime, name } = this.parts;
    runtime.raise({
      severity: "critical",
      type: "pool.readOnly",
      subject: `pool ${name}`,
      message: `pool ${name} is read-only: ${this.why} Bring back a drive that is missing; nothing is given up meanwhile`,
    });
    this.#cancelTick = runtime.every(TICK_MILLISECONDS, () => this.#tick());
    this.#survey();
    gauge(this.parts);
  }

  // — block service —

  volumeInfo(volume: number): VolumeInfo | undefined {
    return this.parts.volumes.get(volume)?.document;
  }

  read(io: BlockIo): void {
    const { health, volumes } = this.parts;
    if (health.failed) end(io, health.status);
    else if (!volumes.has(io.volume)) end(io, BLOCK_STATUS.noVolume);
    else {
      const held = this.#hold(io);
      if (held === undefined) end(io, health.failed ? health.status : BLOCK_STATUS.noMemory);
      else this.#readHeld(io, held);
    }
  }

  /** Undefined: there is no memory for it now, or the pool has failed by it. */
  #hold({ volume, offsetBytes, bytes }: BlockIo): HeldBlocks | undefined {
    const first = Math.floor(offsetBytes / BLOCK_BYTES);
    const count = Math.floor((offsetBytes + bytes - 1) / BLOCK_BYTES) - first + 1;
    try {
      return this.#overlay.hold(this.parts, volume, first, count);
    } catch (error) {
      this.parts.health.fail(error);
      return undefined;
    }
  }

  #readHeld(io: BlockIo, held: HeldBlocks): void {
    if (held.length > 0) {
      const { done } = io;
      io.done = (finished) => {
        finished.done = done;
        this.#overlay.release(this.parts, held);
        done(finished);
      };
    }
    this.#reads.read(io);
  }

  write(io: BlockIo): void {
    const { frames } = this.parts;
    for (let n = 0; n < io.run.frameCount; n++) frames.give(io.run.frames[n]!);
    end(io, this.#refusal);
  }

  zero(io: BlockIo): void {
    end(io, this.#refusal);
  }

  get #refusal(): BlockStatus {
    const { health } = this.parts;
    return health.failed ? health.status : BLOCK_STATUS.writeProtected;
  }

  /** What was acknowledged before is in the journal. */
  flush(io: BlockIo): void {
    const { health, journal } = this.parts;
    if (health.failed) end(io, health.status);
    else journal.whenSynced(journal.nextSequence - 1, (durable) => end(io, durable ? BLOCK_STATUS.good : health.status));
  }

  /** All of it is called mapped: what the journal has is in no map, and who copies the volume must not pass over it. */
  mapping(query: MappingQuery): void {
    const { health, volumes } = this.parts;
    const volume = volumes.get(query.volume);
    query.extents.length = 0;
    if (health.failed) query.status = health.status;
    else if (volume === undefined || query.offsetBytes >= volume.document.sizeBytes) query.status = BLOCK_STATUS.noVolume;
    else {
      query.status = BLOCK_STATUS.good;
      query.extents.push({ bytes: volume.document.sizeBytes - query.offsetBytes, mapped: true });
    }
    query.done(query);
  }

  arrayDocumentCopies(): Promise<ArrayDocument[]> {
    return this.#options.store.documentCopies(ARRAY_KEY) as Promise<ArrayDocument[]>;
  }

  foundVolumes(): FoundVolume[] {
    const { index, volumes } = this.parts;
    return [...volumes.values()].map(({ document }) => ({ ...document, pool: index }));
  }

  // — its drives —

  /** A member that was read is out. Nothing is put on record: as the pool is opened next, that drive may be there again. */
  memberLost(member: Member): void {
    const { runtime, name } = this.parts;
    runtime.raise({
      severity: "critical",
      type: member.state === "missing" ? "drive.missing" : "drive.failed",
      subject: `drive ${member.name}`,
      message: `pool ${name}, which is read-only, goes on without it: ${member.reason ?? "unknown reason"}`,
    });
    this.#survey();
  }

  /** People put a drive into a place, or want it to be tried. */
  tryAnew(): void {
    if (this.#returned || this.#stopped) return;
    this.#returned = true;
    this.#options.onReturn();
  }

  #tick(): void {
    gauge(this.parts);
    const now = this.parts.runtime.nowMilliseconds();
    if (this.#returned || this.#asking || now - this.#askedAt < ASK_MILLISECONDS) return;
    this.#askedAt = now;
    this.#asking = true;
    void this.#isBack().then((isBack) => {
      this.#asking = false;
      if (isBack) this.tryAnew();
    });
  }

  /** Whether a drive answers whose member is not there. One that is there and is not read is no news. */
  async #isBack(): Promise<boolean> {
    const { members } = this.parts.group;
    const wanted = new Set(this.#options.driveIds);
    // One that is not there as another has its place back, or that a member is built from, is wanted like a member.
    for (const { state, driveId, former } of members) {
      if (state !== "missing") wanted.delete(driveId);
      if (former?.drive !== undefined) wanted.delete(former.driveId);
    }
    if (wanted.size === 0) return false;
    const drives = this.#options.bays.flatMap((bay) => (bay.state === "blank" || bay.drive === undefined ? [] : [bay.drive]));
    const inUse = new Set(members.filter(({ state }) => isWritable(state)).map(({ drive }) => drive));
    const found = await Promise.all(
      drives
        .filter((drive) => !inUse.has(drive))
        .map((drive) =>
          drive.identify().then(
            ({ driveId }) => wanted.has(driveId),
            () => false,
          ),
        ),
    );
    return found.includes(true);
  }

  #survey(): void {
    this.#surveyAgain = true;
    if (this.#surveying || this.#stopped) return;
    this.#surveying = true;
    void this.#surveyed().finally(() => {
      this.#surveying = false;
    });
  }

  async #surveyed(): Promise<void> {
    const { health, runtime, name } = this.parts;
    try {
      while (this.#surveyAgain && !this.#stopped && !health.failed) {
        this.#surveyAgain = false;
        const found = await unreadableBlocks(this.parts, this.#overlay, () => this.#stopped || health.failed);
        if (found === undefined) return;
        this.#unreadable = found;
        if (found.total === 0) continue;
        runtime.raise({
          severity: "critical",
          type: "pool.unreadable",
          subject: `pool ${name}`,
          message: `${found.total} blocks of 4 KiB can't be read while drives are away: reads of them get MEDIUM ERROR`,
        });
      }
    } catch (error) {
      health.fail(error);
    }
  }

  // — end —

  /** What waits for a drive ends when that answers. */
  hasFailed(): void {}

  journalProgress(): void {}

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelTick?.();
    const { health, journal } = this.parts;
    if (!health.failed) await journal.synced(journal.nextSequence - 1);
  }

  /** After `stop`, when nothing is on its way to or from the drives any more. */
  letGo(): void {
    const { cache, frames } = this.parts;
    cache.clear();
    frames.removeReclaimer(cache);
    frames.serveWaiters();
  }

  status(): PoolStatus {
    const { health } = this.parts;
    const unreadable = this.#unreadable;
    const reason = [this.why, reasonOf(this.parts)].filter((part) => part !== undefined).join(" ");
    return {
      ...commonStatus(this.parts, this.#options.driveCapacityBytes),
      dirtyBytes: this.#overlay.blockCount * BLOCK_BYTES,
      state: health.failed ? "failed" : "readonly",
      reason: health.reason ?? reason,
      owner: this.#options.ownerIndex,
      epoch: this.#options.epoch,
      ...(unreadable === undefined || unreadable.total === 0 ? {} : { unreadable: lostOf(unreadable) }),
    };
  }
}

function end(io: BlockIo, status: BlockStatus): void {
  io.run.frameCount = 0;
  io.status = status;
  io.done(io);
}
