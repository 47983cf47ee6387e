/**
 * One pool: volumes on a journaled write-back cache over a log-structured RAID group. Puts the parts together and keeps
 * them going; the work is in read-path, write-path, destager and compactor.
 *
 * Runs on: the owning director's thread. Made by `openPool` (pool-open.ts), which also recovers it.
 */
import type { ArrayDocument, FoundVolume, PoolStatus } from "../control/contract.ts";
import type { MetadataStore } from "../map/metadata-store.ts";
import { type FormerDrive, GroupFailedError, type Member } from "../raid/raid-group.ts";
import { ZoneAppender } from "../raid/zone-appender.ts";
import { BLOCK_STATUS, type BlockIo, type MappingQuery, type VolumeInfo } from "./block-io.ts";
import { Compactor } from "./compactor.ts";
import { Destager } from "./destager.ts";
import type { DriveShelf } from "./drive-shelf.ts";
import { DriveWatch } from "./drive-watch.ts";
import { FillWatch } from "./fill-watch.ts";
import { Healing } from "./healing.ts";
import type { HealingSettings } from "./healing-settings.ts";
import { JournalRoom } from "./journal-room.ts";
import { Losses } from "./losses.ts";
import { findMapping } from "./mapping.ts";
import { PoolClosedError } from "./pool-closed-error.ts";
import { ARRAY_KEY, type PoolDocument, type PoolVolumeDocument } from "./pool-document.ts";
import type { PoolParts } from "./pool-parts.ts";
import { PoolRecord, type RecordedMember } from "./pool-record.ts";
import { commonStatus, gauge, reasonOf } from "./pool-status.ts";
import { ReadPath } from "./read-path.ts";
import { breathe } from "./runtime.ts";
import { Scrub } from "./scrub.ts";
import { COMPACTION_ZONES } from "./space.ts";
import { VolumeChanges } from "./volume-changes.ts";
import { WritePath } from "./write-path.ts";
import { lostZones } from "./zone-check.ts";

const TICK_MILLISECONDS = 1000;
/** So long hosts wait for a full disk to have room again; then they are told, before they give up by themselves (30 s). */
const NO_ROOM_TICKS = 10;
/** Compaction and destage get so long to reach a safe point when the array stops. */
const STOP_WAIT_MILLISECONDS = 3000;

export interface PoolOptions {
  readonly parts: PoolParts;
  readonly store: MetadataStore;
  readonly document: PoolDocument;
  readonly volumes: readonly PoolVolumeDocument[];
  readonly ownerIndex: number;
  readonly ageSeconds: number;
  readonly driveCapacityBytes: number;
  readonly shelf: DriveShelf;
  readonly healing: HealingSettings;
  readonly opening: OpeningMembers;
}

/** Members as they are to stand on record while the pool is opened. */
export interface OpeningMembers {
  /** What the drives have is known: members stand on record as they are. */
  readonly isDecided: boolean;
  readonly members: readonly RecordedMember[];
}

export class Pool {
  readonly readOnly = false;
  readonly parts: PoolParts;
  readonly compactor: Compactor;
  readonly record: PoolRecord;
  readonly volumes: VolumeChanges;
  readonly healing: Healing;
  readonly scrub: Scrub;
  readonly losses: Losses;
  readonly #fill: FillWatch;
  readonly #journalRoom: JournalRoom;
  readonly #driveWatch: DriveWatch;
  readonly #store: MetadataStore;
  readonly #options: PoolOptions;
  readonly #reads: ReadPath;
  readonly #writes: WritePath;
  readonly #destager: Destager;
  /** How long drives or the journal have been waiting for room below them. */
  #noRoomTicks = 0;
  #cancelTick: (() => void) | undefined;
  /** No zone is to come any more. */
  #stopping = false;
  readonly #zoneWaiters: { least: number; resolve: () => void; reject: (error: Error) => void }[] = [];

  constructor(options: PoolOptions) {
    const { parts } = options;
    this.parts = parts;
    this.#options = options;
    this.#store = options.store;
    this.record = new PoolRecord(options.store, options.document, options.volumes, () => parts.map.logSequence);
    this.#fill = new FillWatch(parts);
    this.#journalRoom = new JournalRoom(parts);
    this.#driveWatch = new DriveWatch(parts, options.shelf, () => this.record.updateMembers(parts.group.members));
    this.volumes = new VolumeChanges(parts, this.record, {
      journalDurable: () => this.#journalDurable(),
      trim: () => this.#destager.trim(),
    });
    this.#reads = new ReadPath(parts, {
      repaired: (volume, block, place) => this.#destager.repair(volume, block, place),
      lost: (volume, block, slot) => this.#blockLost(volume, block, slot),
    });
    this.#writes = new WritePath(parts, {
      writesThrough: (volume) => parts.volumes.get(volume)?.document.writeCacheEnabled === false,
      onPressure: () => {
        this.#destager.press();
        this.compactor.poke();
      },
      onDirty: () => this.#destager.poke(),
      onRefusedForSpace: () => this.#fill.refused(),
    });
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
        mayTakeZone: () => parts.space.freeZones > freeZonesLeft,
        zonesArePlenty: () => parts.space.freeZones > 2 * COMPACTION_ZONES,
        breathe: () => breathe(parts.runtime),
        reached: (site) => parts.runtime.reached(site),
      });
    const destageAppender = appender(COMPACTION_ZONES);
    const compactionAppender = appender(0);
    this.#destager = new Destager({
      pool: parts,
      reads: this.#reads,
      appender: destageAppender,
      stripesPerBatch,
      ageSeconds: options.ageSeconds,
      onProgress: () => this.#progress(),
    });
    this.compactor = new Compactor({
      pool: parts,
      appender: compactionAppender,
      stripesPerBatch,
      onFreed: () => this.#zonesFreed(),
      onDamaged: (slot) => this.losses.damaged(slot),
    });
    this.losses = new Losses({
      pool: parts,
      record: this.record,
      closeZones: () => destageAppender.closed(() => compactionAppender.closed(() => Promise.resolve())),
      evacuate: (slot, inMemory, isWhole) => this.compactor.evacuate(slot, inMemory, isWhole),
      repair: (volume, block, place) => this.#destager.repair(volume, block, place, true),
    });
    this.healing = new Healing({
      pool: parts,
      record: this.record,
      compactor: this.compactor,
      losses: this.losses,
      shelf: options.shelf,
      settings: options.healing,
      appenders: [destageAppender, compactionAppender],
      mapPositions: () => options.store.mapPositions,
      document: (key) => options.store.documentBytes(key),
    });
    this.scrub = new Scrub({
      pool: parts,
      record: this.record,
      compactor: this.compactor,
      settings: options.healing,
      appenders: [destageAppender, compactionAppender],
      isRebuilding: () => this.healing.status !== undefined,
    });
  }

  /** Recovery is done: housekeeping begins. */
  start(): void {
    this.parts.cache.shortage = () => this.#destager.press();
    this.#cancelTick = this.parts.runtime.every(TICK_MILLISECONDS, () => this.#tick());
    this.volumes.start();
    // What was replayed for nobody (its volume is gone) leaves nothing dirty, whose destage would do this.
    this.#destager.trim();
    this.#journalRoom.opened();
    this.#tick();
  }

  // — block service —

  volumeInfo(volume: number): VolumeInfo | undefined {
    return this.parts.volumes.get(volume)?.document;
  }

  read(io: BlockIo): void {
    if (this.#refused(io)) return;
    const { journal } = this.parts;
    // What only one copy of the journal has may be gone at the next start, so nobody sees it now.
    if (journal.held) journal.whenReleased(() => this.read(io));
    else this.#reads.read(io);
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
      io.status = durable ? BLOCK_STATUS.good : this.parts.health.status;
      io.done(io);
    });
  }

  mapping(query: MappingQuery): void {
    findMapping(this.parts, query);
  }

  #refused(io: BlockIo): boolean {
    if (this.parts.health.failed) io.status = this.parts.health.status;
    else if (!this.parts.volumes.has(io.volume)) io.status = BLOCK_STATUS.noVolume;
    else return false;
    io.run.frameCount = 0;
    io.done(io);
    return true;
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
      health.fail(new GroupFailedError(group));
      return;
    }
    runtime.reached("member.lost");
    await this.#recordLoss();
    runtime.reached("member.recorded");
    // While the pool is opened zones are recovery's alone: it seals those that were open, and takes no others for such.
    if (this.#cancelTick !== undefined) this.healing.poke();
  }

  /** The same, of a drive that a member is built from. */
  async formerLost(member: Member, former: FormerDrive, error: unknown): Promise<void> {
    const { runtime, name } = this.parts;
    const isOut = member.former === undefined;
    runtime.raise({
      severity: "warning",
      type: isOut ? "drive.failed" : "drive.missing",
      subject: `drive ${former.name}`,
      message: `pool ${name}: drive ${member.name} was built from it, and ${isOut ? "is built from the others" : "waits for it"}: ${(error as Error).message}`,
    });
    this.healing.formerLost(former, error);
    await this.#recordLoss();
    if (this.#cancelTick !== undefined) this.healing.poke();
  }

  /** Beyond what the level makes good, but new stripes are safe: the rest is served, also after a restart. */
  #recordLoss(): Promise<void> {
    const { isDecided, members } = this.#options.opening;
    const isLossy = isDecided && lostZones(this.parts).length > 0;
    return this.record.updateMembers(members, isLossy || undefined);
  }

  #blockLost(volume: number, block: number, slot: number): void {
    const { runtime, name } = this.parts;
    this.losses.damaged(slot);
    runtime.raise({
      severity: "critical",
      type: "block.lost",
      subject: `pool ${name}`,
      message: `block ${block} of volume ${volume} can't be read and can't be rebuilt from its stripe`,
    });
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
    const { cache, frames } = this.parts;
    this.#destager.giveUp();
    void this.compactor.stop();
    cache.clear();
    this.#writes.retry(true);
    const reason = this.parts.health.reason ?? "it could not be opened";
    this.#endZoneWaiters(new Error(reason));
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
    const { health, space } = this.parts;
    if (health.failed) return Promise.reject(new Error(health.reason));
    if (space.freeZones > left) return Promise.resolve();
    if (this.#stopping) return Promise.reject(new PoolClosedError());
    return new Promise((resolve, reject) => this.#zoneWaiters.push({ least: left, resolve, reject }));
  }

  #endZoneWaiters(error: Error): void {
    for (const waiter of this.#zoneWaiters.splice(0)) waiter.reject(error);
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
    gauge(this.parts);
    this.#fill.look();
    this.#driveWatch.tick();
    this.#journalRoom.tick();
    const hasRoom = this.parts.group.waitingForRoom === 0 && this.parts.journal.hasRoom;
    this.#noRoomTicks = hasRoom ? 0 : this.#noRoomTicks + 1;
    if (this.#noRoomTicks >= NO_ROOM_TICKS) this.#writes.refuseWaiting();
    this.healing.poke();
    this.scrub.tick();
    this.losses.tick();
  }

  // — end —

  #journalDurable(): Promise<void> {
    const { journal } = this.parts;
    return journal.synced(journal.nextSequence - 1);
  }

  /** Makes the journal durable and comes to rest. No full destage: what is dirty is in the journal. */
  async stop(): Promise<void> {
    this.#cancelTick?.();
    this.#driveWatch.stop();
    const volumesStopped = this.volumes.stop();
    if (this.parts.health.failed) return;
    this.#writes.flush();
    await this.#journalDurable();
    const stopped = Promise.all([
      this.#destager.stop(),
      this.compactor.stop(),
      this.healing.stop(),
      this.scrub.stop(),
      this.losses.stop(),
      volumesStopped,
    ]);
    // Compaction makes no more room: a batch that waits for a zone would keep its frames, and us waiting.
    this.#stopping = true;
    this.#endZoneWaiters(new PoolClosedError());
    await this.#within(stopped.then(() => undefined));
    // Other directors may send what they took before they heard of the end: it must not come after the journal's last word.
    this.#writes.close();
    await this.#journalDurable();
    if (this.parts.journal.isEmpty) await this.record.update((old) => ({ ...old, journalLive: false }));
  }

  /**
   * After `stop`, when nothing is on its way to or from the drives any more: the director goes on without this pool. What is
   * dirty is in the journal, where the next owner finds it.
   */
  letGo(): void {
    const { cache, frames, health, journal } = this.parts;
    health.letGo();
    this.#destager.giveUp();
    journal.letGo();
    // Writes to volumes that were deleted while they waited for room: nobody waits for them, but they have frames.
    this.#writes.flush();
    cache.clear();
    frames.removeReclaimer(cache);
    frames.serveWaiters();
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

  /** Those that hosts may have: none that is being deleted. */
  foundVolumes(): FoundVolume[] {
    const { index, volumes } = this.parts;
    return [...volumes.values()].map(({ document }) => ({ ...document, pool: index }));
  }

  status(): PoolStatus {
    const { group, health, map } = this.parts;
    const common = commonStatus(this.parts, this.#options.driveCapacityBytes);
    const rebuild = this.healing.status;
    const reason = health.reason ?? reasonOf(this.parts);
    return {
      ...common,
      state: health.failed ? "failed" : group.state,
      ...(reason === undefined ? {} : { reason }),
      owner: this.#options.ownerIndex,
      epoch: this.record.document.epoch,
      drives: [...common.drives, ...this.#options.shelf.status(group.members, map.zones.slotCount)],
      ...(rebuild === undefined ? {} : { rebuild }),
      rebuildSharePercent: this.healing.pace.sharePercent,
      scrub: this.scrub.status,
    };
  }
}
