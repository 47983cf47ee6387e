/**
 * One pool: volumes on a journaled write-back cache over a log-structured RAID group. Puts the parts together and keeps
 * them going; the work is in read-path, write-path, destager and compactor.
 *
 * Runs on: the owning director's thread. Made by `openPool` (pool-open.ts), which also recovers it.
 */
import type { ArrayDocument, DriveStatus, PoolStatus, VolumeDocument, VolumeStatus } from "../control/contract.ts";
import { PAGE_BLOCKS } from "../map/map-pages.ts";
import type { MetadataStore } from "../map/metadata-store.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import type { Member } from "../raid/raid-group.ts";
import { ZoneAppender } from "../raid/zone-appender.ts";
import { BLOCK_BYTES, BLOCK_STATUS, type BlockIo, type MappingQuery, type VolumeInfo } from "./block-io.ts";
import { Compactor } from "./compactor.ts";
import { Destager, unmapRange } from "./destager.ts";
import { findMapping } from "./mapping.ts";
import { POOL_COUNT } from "./pool-counters.ts";
import { ARRAY_KEY, POOL_KEY, type PoolDocument, type PoolVolumeDocument } from "./pool-document.ts";
import type { PoolParts, VolumeState } from "./pool-parts.ts";
import { ReadPath } from "./read-path.ts";
import { COMPACTION_ZONES } from "./space.ts";
import { WritePath } from "./write-path.ts";

/** Fill at which people are told, and below which they may be told again. */
const NEARLY_FULL = [
  { share: 0.85, severity: "warning" },
  { share: 0.95, severity: "critical" },
] as const;
const NEARLY_FULL_HYSTERESIS = 0.02;
/** That writes are refused is told once until the pool is emptier again, and never more often than this. */
const FULL_TOLD_MILLISECONDS = 60_000;
const TICK_MILLISECONDS = 1000;
/** Compaction and destage get so long to reach a safe point when the array stops. */
const STOP_WAIT_MILLISECONDS = 3000;
const UNMAP_BLOCKS = 8 * PAGE_BLOCKS;

export class PoolChangeError extends Error {
  readonly code: "conflict" | "notFound" | "spaceExhausted" | "failed";
  constructor(code: PoolChangeError["code"], message: string) {
    super(message);
    this.name = "PoolChangeError";
    this.code = code;
  }
}

export interface PoolOptions {
  readonly parts: PoolParts;
  readonly store: MetadataStore;
  readonly document: PoolDocument;
  readonly ownerIndex: number;
  readonly ageSeconds: number;
  readonly driveCapacityBytes: number;
}

export class Pool {
  readonly parts: PoolParts;
  readonly compactor: Compactor;
  readonly #store: MetadataStore;
  readonly #options: PoolOptions;
  readonly #reads: ReadPath;
  readonly #writes: WritePath;
  readonly #destager: Destager;
  #document: PoolDocument;
  #documentLock: Promise<unknown> = Promise.resolve();
  #cancelTick: (() => void) | undefined;
  readonly #zoneWaiters: { least: number; resolve: () => void }[] = [];
  #toldFull = -1;
  /** Fill at the first write that was refused, while writes are taken to be refused. */
  #refusingFrom: number | undefined;
  #toldRefusingAt = Number.NEGATIVE_INFINITY;
  #stopped = false;

  constructor(options: PoolOptions) {
    const { parts } = options;
    this.parts = parts;
    this.#options = options;
    this.#store = options.store;
    this.#document = options.document;
    this.#reads = new ReadPath(parts, (volume, block, place) => this.#destager.repair(volume, block, place));
    this.#writes = new WritePath(parts, {
      writesThrough: (volume) => parts.volumes.get(volume)?.document.writeCacheEnabled === false,
      onPressure: () => {
        this.#destager.press();
        this.compactor.poke();
      },
      onDirty: () => this.#destager.poke(),
      onRefusedForSpace: () => this.#tellRefusing(),
    });
    parts.cache.shortage = () => this.#destager.press();
    const stripesPerBatch = parts.staging.batchStripes;
    const appender = (freeZonesLeft: number): ZoneAppender =>
      new ZoneAppender({
        global: parts.global,
        geometry: parts.geometry,
        group: parts.group,
        map: parts.map,
        stripesMax: stripesPerBatch,
        uncommitted: parts.zoneUse.uncommitted,
        freeZone: () => this.#freeZone(freeZonesLeft),
      });
    this.#destager = new Destager({
      pool: parts,
      reads: this.#reads,
      appender: appender(COMPACTION_ZONES),
      stripesPerBatch,
      ageSeconds: options.ageSeconds,
      onProgress: () => this.#progress(),
    });
    this.compactor = new Compactor({ pool: parts, appender: appender(0), stripesPerBatch, onFreed: () => this.#zonesFreed() });
  }

  get document(): PoolDocument {
    return this.#document;
  }

  /** Recovery is done: housekeeping begins. */
  start(): void {
    this.#cancelTick = this.parts.runtime.every(TICK_MILLISECONDS, () => this.#tick());
    for (const volume of this.#document.volumes) if (volume.deleting === true) this.#giveBack(volume);
    this.#tick();
  }

  // — block service —

  volumeInfo(volume: number): VolumeInfo | undefined {
    return this.parts.volumes.get(volume)?.document;
  }

  read(io: BlockIo): void {
    if (this.#refused(io)) return;
    this.#reads.read(io);
  }

  releaseRead(io: BlockIo): void {
    this.#reads.release(io);
  }

  write(io: BlockIo): void {
    this.#writes.write(io);
  }

  /** Whole blocks. */
  zero(io: BlockIo): void {
    if (this.#refused(io)) return;
    this.#writes.zero(io);
  }

  flush(io: BlockIo): void {
    if (this.#refused(io)) return;
    const { journal } = this.parts;
    journal.whenSynced(journal.nextSequence - 1, (durable) => {
      io.status = durable ? BLOCK_STATUS.good : BLOCK_STATUS.failed;
      io.done(io);
    });
  }

  mapping(query: MappingQuery): void {
    findMapping(this.parts, query);
  }

  #refused(io: BlockIo): boolean {
    if (this.parts.health.failed) io.status = BLOCK_STATUS.failed;
    else if (!this.parts.volumes.has(io.volume)) io.status = BLOCK_STATUS.noVolume;
    else return false;
    io.run.frameCount = 0;
    io.done(io);
    return true;
  }

  // — changes, durable when they resolve —

  async setWriteCache(volume: number, enabled: boolean): Promise<void> {
    if (!enabled) await this.#journalDurable();
    await this.#changeVolume(volume, (document) => ({ ...document, writeCacheEnabled: enabled }));
  }

  async createVolume(document: VolumeDocument): Promise<void> {
    const { map, volumes } = this.parts;
    if (this.#document.volumes.some((other) => other.volume === document.volume)) {
      throw new PoolChangeError("conflict", `volume number ${document.volume} is taken`);
    }
    const blockCount = Math.ceil(document.sizeBytes / BLOCK_BYTES);
    await this.updateDocument((old) => ({ ...old, volumes: [...old.volumes, document] }));
    map.pages.addVolume(document.volume, blockCount, true);
    volumes.set(document.volume, { document, blockCount });
  }

  async growVolume(volume: number, sizeBytes: number): Promise<void> {
    const state = this.#volume(volume);
    if (sizeBytes < state.document.sizeBytes) throw new PoolChangeError("conflict", "a volume can grow, not shrink");
    await this.#changeVolume(volume, (document) => ({ ...document, sizeBytes }));
    state.blockCount = Math.ceil(sizeBytes / BLOCK_BYTES);
    this.parts.map.pages.growVolume(volume, state.blockCount);
  }

  /** The volume is gone when this resolves; its space is given back in the background, also over restarts. */
  async deleteVolume(volume: number): Promise<void> {
    const { volumes, cache, zeros } = this.parts;
    const state = this.#volume(volume);
    volumes.delete(volume);
    try {
      await this.#changeDocument(volume, (document) => ({ ...document, deleting: true }));
    } catch (error) {
      volumes.set(volume, state);
      throw error;
    }
    cache.removeRange(volume, 0, state.blockCount);
    zeros.removeVolume(volume);
    this.#destager.trim();
    this.#giveBack(state.document);
  }

  #giveBack(document: PoolVolumeDocument): void {
    const { map, health } = this.parts;
    const work = async (): Promise<void> => {
      const blockCount = Math.ceil(document.sizeBytes / BLOCK_BYTES);
      for (let block = 0; block < blockCount && !this.#stopped; block += UNMAP_BLOCKS) {
        await unmapRange(map, document.volume, block, Math.min(blockCount, block + UNMAP_BLOCKS));
      }
      // What was not finished goes on after the next start.
      if (this.#stopped) return;
      await map.dropVolume(document.volume);
      await this.updateDocument((old) => ({ ...old, volumes: old.volumes.filter((other) => other.volume !== document.volume) }));
    };
    work().catch((error: unknown) => health.fail(error));
  }

  /** Resolves when everything that was dirty is on the drives and the journal is empty. */
  async destageAll(): Promise<void> {
    await this.#destager.drain();
    await this.parts.map.checkpoint();
  }

  async storeArrayDocument(document: ArrayDocument): Promise<void> {
    await this.#store.putDocument(ARRAY_KEY, document);
  }

  arrayDocumentCopies(): Promise<ArrayDocument[]> {
    return this.#store.documentCopies(ARRAY_KEY) as Promise<ArrayDocument[]>;
  }

  /** Writes a changed document to all online drives; one change at a time. */
  updateDocument(change: (old: PoolDocument) => PoolDocument): Promise<void> {
    const run = this.#documentLock.then(async () => {
      const next = change(this.#document);
      const document = { ...next, version: this.#document.version + 1 };
      await this.#store.putDocument(POOL_KEY, document);
      this.#document = document;
    });
    this.#documentLock = run.catch(() => undefined);
    return run;
  }

  async #changeDocument(volume: number, change: (old: PoolVolumeDocument) => PoolVolumeDocument): Promise<void> {
    await this.updateDocument((old) => ({
      ...old,
      volumes: old.volumes.map((document) => (document.volume === volume ? change(document) : document)),
    }));
  }

  async #changeVolume(volume: number, change: (old: PoolVolumeDocument) => PoolVolumeDocument): Promise<void> {
    const state = this.#volume(volume);
    await this.#changeDocument(volume, change);
    state.document = change(state.document);
  }

  #volume(volume: number): VolumeState {
    const state = this.parts.volumes.get(volume);
    if (state === undefined) throw new PoolChangeError("notFound", `pool ${this.parts.name} has no volume ${volume}`);
    return state;
  }

  // — failures —

  /** Called by the RAID group: puts it on record that a drive is out before anyone goes on without it. */
  async memberLost(member: Member): Promise<void> {
    const { runtime, group, name, health } = this.parts;
    runtime.raise({
      severity: "critical",
      type: member.state === "missing" ? "drive.missing" : "drive.failed",
      subject: `drive ${member.name}`,
      message: `pool ${name} goes on without it, ${group.state}: ${member.reason ?? "unknown reason"}`,
    });
    if (group.state === "failed") {
      health.fail(new Error(`pool ${name} has lost ${group.lostCount} drives; it can do without ${group.tolerance}`));
      return;
    }
    await this.recordMembers();
  }

  recordMembers(): Promise<void> {
    return this.updateDocument((old) => ({ ...old, members: membersOf(this.parts.group.members, old) }));
  }

  // — housekeeping —

  #progress(): void {
    this.#writes.retry(true);
    this.compactor.poke();
  }

  /**
   * Nothing can be acknowledged any more: what waits is told so. Dirty frames are given up, because their content is in
   * the journal, where the next start finds it; kept, they would hold back the hosts of the director's other pools.
   */
  hasFailed(): void {
    const { cache, frames, volumes } = this.parts;
    for (const [volume, { blockCount }] of volumes) cache.removeRange(volume, 0, blockCount);
    this.#writes.retry(true);
    frames.serveWaiters();
  }

  /** Called when the journal has room again or a sync has ended. */
  journalProgress(): void {
    this.#writes.retry(false);
  }

  /** For recovery: destage while frames are short. */
  press(): void {
    this.#destager.press();
  }

  #freeZone(left: number): Promise<void> {
    this.compactor.poke();
    if (this.parts.space.freeZones > left) return Promise.resolve();
    return new Promise((resolve) => this.#zoneWaiters.push({ least: left, resolve }));
  }

  #zonesFreed(): void {
    for (let n = 0; n < this.#zoneWaiters.length; ) {
      const waiter = this.#zoneWaiters[n]!;
      if (this.parts.space.freeZones <= waiter.least) {
        n++;
        continue;
      }
      this.#zoneWaiters.splice(n, 1);
      waiter.resolve();
      // The waiter takes its zone in a later step: let one go at a time.
      break;
    }
    this.#writes.retry(true);
  }

  #tick(): void {
    this.#destager.tick();
    this.compactor.poke();
    this.#zonesFreed();
    this.#gauge();
    this.#tellFill();
  }

  #gauge(): void {
    const { counters, cache, frames, journal, space, map, group, health } = this.parts;
    counters[POOL_COUNT.dirtyBlocks] = cache.dirtyCount;
    counters[POOL_COUNT.dirtyBlocksMax] = frames.writeFramesMax;
    counters[POOL_COUNT.cleanBlocks] = cache.cleanCount;
    counters[POOL_COUNT.liveBlocks] = space.liveBlocks;
    counters[POOL_COUNT.usableBlocks] = space.usableBlocks;
    counters[POOL_COUNT.zonesFree] = space.freeZones;
    counters[POOL_COUNT.zonesTotal] = map.zones.slotCount;
    counters[POOL_COUNT.journalLiveBytes] = journal.liveBytes;
    counters[POOL_COUNT.journalCapacityBytes] = journal.capacityBytes;
    counters[POOL_COUNT.degraded] = group.lostCount;
    counters[POOL_COUNT.failed] = health.failed ? 1 : 0;
  }

  #tellFill(): void {
    const { runtime, name } = this.parts;
    const share = this.#fillShare();
    if (this.#refusingFrom !== undefined && share < this.#refusingFrom - NEARLY_FULL_HYSTERESIS) this.#refusingFrom = undefined;
    let level = -1;
    for (let n = 0; n < NEARLY_FULL.length; n++) {
      const slack = n <= this.#toldFull ? NEARLY_FULL_HYSTERESIS : 0;
      if (share >= NEARLY_FULL[n]!.share - slack) level = n;
    }
    if (level > this.#toldFull) {
      runtime.raise({
        severity: NEARLY_FULL[level]!.severity,
        type: "pool.nearlyFull",
        subject: `pool ${name}`,
        message: `${Math.floor(share * 100)} % of the pool is used; unmap or delete volumes before writes are refused (7/27/07)`,
      });
    }
    this.#toldFull = level;
  }

  #fillShare(): number {
    const { space, cache } = this.parts;
    return (space.liveBlocks + cache.dirtyCount) / space.usableBlocks;
  }

  #tellRefusing(): void {
    if (this.#refusingFrom !== undefined) return;
    const { runtime, name } = this.parts;
    const now = runtime.nowMilliseconds();
    // Not taken note of: if it still refuses then, people are told.
    if (now - this.#toldRefusingAt < FULL_TOLD_MILLISECONDS) return;
    this.#toldRefusingAt = now;
    this.#refusingFrom = this.#fillShare();
    runtime.raise({
      severity: "critical",
      type: "pool.full",
      subject: `pool ${name}`,
      message: `pool ${name} is full: writes to new blocks are refused (7/27/07). Unmap or delete what is not needed; nothing that was stored is lost`,
    });
  }

  // — end —

  #journalDurable(): Promise<void> {
    const { journal } = this.parts;
    return new Promise((resolve, reject) => {
      journal.whenSynced(journal.nextSequence - 1, (durable) =>
        durable ? resolve() : reject(new Error("the journal has failed")),
      );
    });
  }

  /** Makes the journal durable and comes to rest. No full destage: what is dirty is in the journal. */
  async stop(): Promise<void> {
    this.#cancelTick?.();
    this.#stopped = true;
    if (this.parts.health.failed) return;
    this.#writes.flush();
    await this.#journalDurable();
    await this.#within(Promise.all([this.#destager.stop(), this.compactor.stop()]).then(() => undefined));
    await this.#journalDurable();
    if (this.parts.journal.isEmpty) await this.updateDocument((old) => ({ ...old, journalLive: false }));
  }

  #within(work: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.parts.runtime.every(STOP_WAIT_MILLISECONDS, () => {
        cancel();
        resolve();
      });
      work.then(
        () => {
          cancel();
          resolve();
        },
        (error: unknown) => {
          cancel();
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }

  // — status —

  status(): PoolStatus {
    const { cache, group, health, index, journal, map, name, space, volumes } = this.parts;
    const zonesUsed = map.zones.slotCount - map.zones.count(ZONE_STATE.free);
    const drives: DriveStatus[] = group.members.map((member) => ({
      name: member.name,
      state: member.state,
      ...(member.reason === undefined ? {} : { reason: member.reason }),
      capacityBytes: this.#options.driveCapacityBytes,
      zonesUsed: member.state === "online" ? zonesUsed : 0,
      zoneCount: map.zones.slotCount,
    }));
    const lost = group.members.filter((member) => member.state !== "online").map(lossOf);
    const reason = health.reason ?? (lost.length > 0 ? lost.join("; ") : undefined);
    return {
      index,
      name,
      state: health.failed ? "failed" : group.state,
      ...(reason === undefined ? {} : { reason }),
      owner: this.#options.ownerIndex,
      epoch: this.#document.epoch,
      drives,
      volumes: [...volumes.values()].map(
        ({ document }): VolumeStatus => ({
          ...document,
          pool: index,
          mappedBytes: map.mappedBlocks(document.volume) * BLOCK_BYTES,
        }),
      ),
      usableBytes: space.usableBlocks * BLOCK_BYTES,
      liveBytes: space.liveBlocks * BLOCK_BYTES,
      dirtyBytes: cache.dirtyCount * BLOCK_BYTES,
      journalBytes: journal.capacityBytes,
      journalLiveBytes: journal.liveBytes,
      zonesFree: space.freeZones,
      zonesUsed,
    };
  }
}

/** Which drive, and why. A driver's own message names the drive already. */
function lossOf({ name, state, reason }: Member): string {
  if (reason?.startsWith(`drive ${name}:`) === true) return reason;
  return `drive ${name} is ${state}${reason === undefined ? "" : `: ${reason}`}`;
}

export function membersOf(members: readonly Member[], old: PoolDocument): PoolDocument["members"] {
  return members.map((member, position) => ({
    name: old.members[position]!.name,
    driveId: old.members[position]!.driveId,
    state: member.state,
    ...(member.reason === undefined ? {} : { reason: member.reason }),
  }));
}
