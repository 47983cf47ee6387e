/**
 * A whole pool in one thread, over drives and a journal in memory: opened, used, killed, opened again.
 *
 * What survives a kill is in `MemoryPoolMedia`; a killed pool's drives and journal no longer answer it.
 */
import { randomBytes } from "node:crypto";
import { type Drive, DriveError } from "../../drivers/drive/drive.ts";
import { MemoryDrive, MemoryDriveState } from "../../drivers/drive/memory-drive.ts";
import type { JournalFile } from "../../drivers/journal-file/journal-file.ts";
import { MemoryJournalFile, MemoryJournalState } from "../../drivers/journal-file/memory-journal-file.ts";
import { firstPoolEpoch, notePoolOwner, raisePoolEpoch } from "../../drivers/shared-memory/epoch.ts";
import { FrameChunks } from "../../drivers/shared-memory/frame-chunks.ts";
import { createGlobalMemory, type GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FramePool } from "../../src/cache/frame-pool.ts";
import type { PoolConfig } from "../../src/config/config.ts";
import type { ArrayEvent, VolumeDocument } from "../../src/control/contract.ts";
import type { BulkWork } from "../../src/raid/bulk-work.ts";
import { groupGeometry } from "../../src/raid/geometry.ts";
import type { RaidShape } from "../../src/raid/raid-level.ts";
import { raidLevel } from "../../src/raid/raid-levels.ts";
import { stagingBytes } from "../../src/raid/staging.ts";
import { stripShape } from "../../src/raid/strip.ts";
import { BLOCK_BYTES, BLOCK_STATUS, BlockIo } from "../../src/volume/block-io.ts";
import { HEALING_SETTINGS, type HealingSettings } from "../../src/volume/healing-settings.ts";
import type { JournalBay, OpenPoolOptions, RecoveredRequest } from "../../src/volume/pool-members.ts";
import { openPool } from "../../src/volume/pool-open.ts";
import type { BayDrive } from "../../src/volume/pool-parts.ts";
import { PoolService } from "../../src/volume/pool-service.ts";
import { openReadOnlyPool, type ReadOnlyOpening } from "../../src/volume/readonly-open.ts";
import type { PoolRuntime } from "../../src/volume/runtime.ts";

export interface MemoryPoolShape extends RaidShape {
  /** Drives that stand by, after the others; none unless given. */
  readonly spareCount?: number;
  readonly blocksPerStrip: number;
  readonly stripesPerZone: number;
  readonly zoneSlots: number;
  readonly frameCount: number;
  readonly journalBytes: number;
}

export const SMALL_POOL: MemoryPoolShape = {
  dataDrives: 3,
  blocksPerStrip: 4,
  stripesPerZone: 16,
  zoneSlots: 14,
  frameCount: 1024,
  journalBytes: 12 * 1024 * 1024,
};

function driveName(n: number): string {
  return String(n).padStart(2, "0");
}

export class MemoryPoolMedia {
  readonly shape: MemoryPoolShape;
  readonly drives: (MemoryDriveState | undefined)[];
  journal: MemoryJournalState | undefined;
  /** The journal's second copy, of a pool that is opened as `mirrored`. */
  mirror: MemoryJournalState | undefined;
  /** Stands between the pool and a drive: faults on command. */
  wrap: (drive: Drive, position: number, global: GlobalMemory) => Drive = (drive) => drive;

  constructor(shape: MemoryPoolShape = SMALL_POOL) {
    this.shape = shape;
    const { stripBytes } = stripShape(shape.blocksPerStrip);
    const geometry = {
      capacityBytes: stripBytes * shape.stripesPerZone * shape.zoneSlots,
      stripBytes,
      stripsPerZone: shape.stripesPerZone,
      zoneCount: shape.zoneSlots,
    };
    this.drives = Array.from({ length: raidLevel(shape).driveCount + (shape.spareCount ?? 0) }, (_, n) => {
      return new MemoryDriveState({ name: driveName(n), driveId: `drive-${n}`, geometry });
    });
  }
}

export interface OpenedPool {
  readonly service: PoolService;
  readonly frames: FramePool;
  readonly global: GlobalMemory;
  readonly events: Omit<ArrayEvent, "time">[];
  /** From now on nothing that this pool does reaches its media. */
  kill(): void;
}

const VOLUME: VolumeDocument = {
  volume: 1,
  name: "v1",
  sizeBytes: 0,
  logicalBlockBytes: 512,
  naa: "6".padEnd(32, "0"),
  serial: "s1",
  writeCacheEnabled: true,
  createdAt: "2026-01-01T00:00:00Z",
};

export function volumeDocument(volume: number, sizeBytes: number): VolumeDocument {
  return { ...VOLUME, volume, name: `v${volume}`, sizeBytes };
}

export async function openMemoryPool(
  media: MemoryPoolMedia,
  options: {
    ageSeconds?: number;
    hurry?: number;
    wrapJournal?: (file: JournalFile, copy: "journal" | "mirror") => JournalFile;
    /** The journal is kept in two copies. */
    mirrored?: boolean;
    healing?: Partial<HealingSettings>;
    /** Where the configuration says something else than it did. */
    config?: Partial<Pick<PoolConfig, "name" | "drives" | "driveHealth">>;
    onRecovered?: (request: RecoveredRequest) => void;
    /** Instead of in place. */
    bulk?: (global: GlobalMemory) => BulkWork;
    mapPagesMax?: number;
    /** The owner before, in the same process. */
    takesOver?: OpenedPool;
    /** As a takeover: what the journal's writer wrote is there, but for the end of it. */
    pagesKept?: boolean;
    /** Opened for reading, whatever drives are there. */
    readOnly?: Partial<ReadOnlyOpening>;
    /** Told of the director's frames, also where the pool does not open. */
    onFrames?: (frames: FramePool) => void;
  } = {},
): Promise<OpenedPool> {
  const { shape } = media;
  const geometry = groupGeometry(shape);
  const { global } = createGlobalMemory({
    directorCount: 1,
    poolCount: 1,
    driveCount: geometry.driveCount,
    poolReachedBy: [[0]],
    frameCount: shape.frameCount,
    stagingBytesPerPool: stagingBytes(geometry),
    mailboxBytes: 4096,
  });
  // The drives outlive the pool, as drive threads outlive directors: the new owner's epoch is above the old one's.
  const epoch = Math.max(...media.drives.map((state) => state?.fence.epoch ?? 0));
  if (epoch > 0) raisePoolEpoch(global, 0, epoch);
  if (options.takesOver !== undefined) notePoolOwner(global, 0, firstPoolEpoch(options.takesOver.global, 0));
  const frames = new FramePool({
    global,
    chunks: new FrameChunks(global),
    directorIndex: 0,
    directorCount: 1,
    dirtyPercentMax: 70,
  });
  options.onFrames?.(frames);
  const life = { dead: false };
  const events: Omit<ArrayEvent, "time">[] = [];
  const runtime = memoryRuntime(life, events, options.hurry ?? 1);
  const bays = media.drives.map((state, position): BayDrive => {
    if (state === undefined) return { state: "unavailable", memberState: "missing", reason: "its folder is gone" };
    const { driveId, capacityBytes } = state.identity;
    return {
      state: "open",
      drive: mortalDrive(media.wrap(new MemoryDrive(state, global), position, global), life),
      driveId,
      capacityBytes,
    };
  });
  const config: PoolConfig = {
    name: "A",
    index: 0,
    raid: geometry.level.config,
    drives: bays.slice(0, geometry.level.driveCount).map((_, n) => driveName(n)),
    spares: bays.slice(geometry.level.driveCount).map((_, n) => driveName(geometry.level.driveCount + n)),
    owner: 0,
    reachedBy: [0],
    ...options.config,
  };
  const wrapJournal = options.wrapJournal ?? ((file: JournalFile) => file);
  const journalBay = (copy: "journal" | "mirror"): JournalBay => {
    const open = (): JournalFile | undefined => {
      const state = media[copy];
      return state === undefined ? undefined : mortalJournal(wrapJournal(new MemoryJournalFile(state), copy), life);
    };
    const create = (): JournalFile => {
      media[copy] = new MemoryJournalState(shape.journalBytes);
      return open()!;
    };
    return { open, create };
  };
  const given: OpenPoolOptions = {
    config,
    global,
    frames,
    bays,
    journal: { ...journalBay("journal"), ...(options.mirrored === true ? { mirror: journalBay("mirror") } : {}) },
    runtime,
    ageSeconds: options.ageSeconds ?? 30,
    pagesKept: options.pagesKept ?? false,
    healing: { ...HEALING_SETTINGS, missingSeconds: 0, ...options.healing },
    ...(options.mapPagesMax === undefined ? {} : { mapPagesMax: options.mapPagesMax }),
    ...(options.onRecovered === undefined ? {} : { onRecovered: options.onRecovered }),
    ...(options.bulk === undefined ? {} : { bulk: options.bulk(global) }),
  };
  const pool =
    options.readOnly === undefined
      ? await openPool(given)
      : await openReadOnlyPool(given, { why: "It is a test.", onReturn: () => undefined, ...options.readOnly });
  return {
    service: new PoolService([pool], frames),
    frames,
    global,
    events,
    kill: () => {
      life.dead = true;
    },
  };
}

/** @param hurry - timers run so many times as fast */
function memoryRuntime(life: { dead: boolean }, events: Omit<ArrayEvent, "time">[], hurry: number): PoolRuntime {
  return {
    atTurnEnd: (work) => void setImmediate(() => life.dead || work()),
    nextTurn: (work) => void setImmediate(() => life.dead || work()),
    every: (milliseconds, work) => {
      const timer = setInterval(() => {
        if (life.dead) clearInterval(timer);
        else work();
      }, milliseconds / hurry);
      timer.unref();
      return () => clearInterval(timer);
    },
    nowMilliseconds: () => performance.now() * hurry,
    raise: (event) => void events.push(event),
    newIdentity: () => randomBytes(16).toString("hex"),
    reached: () => undefined,
  };
}

/** A call of a dead pool neither happens nor ends. */
function mortalDrive(drive: Drive, life: { dead: boolean }): Drive {
  return new Proxy(drive, {
    get: (target, property) => {
      const value = Reflect.get(target, property) as unknown;
      if (typeof value !== "function") return value;
      return async (...parameters: unknown[]): Promise<unknown> => {
        // A turn of delay, as a thread would have, so that a kill finds operations under way.
        await new Promise((resolve) => setImmediate(resolve));
        if (life.dead) return new Promise(() => undefined);
        const result: unknown = await (value as (...given: unknown[]) => Promise<unknown>).apply(target, parameters);
        if (life.dead) return new Promise(() => undefined);
        return result;
      };
    },
  });
}

function mortalJournal(file: JournalFile, life: { dead: boolean }): JournalFile {
  return {
    bytes: file.bytes,
    write: (position, buffers) => {
      if (!life.dead) file.write(position, buffers);
    },
    read: (position, target) => file.read(position, target),
    sync: (done) => {
      if (!life.dead) file.sync((error) => life.dead || done(error));
    },
    close: () => file.close(),
  };
}

/** A drive error as a drive would raise it, for tests that make drives fail. */
export function unreachable(name: string): DriveError {
  return new DriveError("unreachable", name, "was taken away");
}

// — I/O as promises —

export interface IoResult {
  readonly status: number;
  readonly errorOffsetBytes: number;
}

export function writeBytes(pool: OpenedPool, volume: number, offset: number, data: Uint8Array, fua = false): Promise<IoResult> {
  const { frames, service } = pool;
  return new Promise((resolve) => {
    const io = new BlockIo((done) => resolve({ status: done.status, errorOffsetBytes: done.errorOffsetBytes }));
    io.volume = volume;
    io.offsetBytes = offset;
    io.bytes = data.length;
    io.forceUnitAccess = fua;
    const first = Math.floor(offset / BLOCK_BYTES);
    const count = Math.floor((offset + data.length - 1) / BLOCK_BYTES) - first + 1;
    if (io.run.frames.length < count) io.run.frames = new Int32Array(count);
    const go = (): void => {
      if (!frames.tryTake(count, io.run.frames, 0)) {
        frames.whenAvailable(count, go);
        return;
      }
      io.run.frameCount = count;
      io.run.phase = offset % BLOCK_BYTES;
      io.run.bytes = data.length;
      for (let n = 0; n < count; n++) {
        // Frames come with what was in them: what a host did not write must never show.
        frames.view(io.run.frames[n]!).fill(0xee);
        const at = (first + n) * BLOCK_BYTES - offset;
        const from = Math.max(0, at);
        frames.view(io.run.frames[n]!).set(data.subarray(from, Math.min(data.length, at + BLOCK_BYTES)), from - at);
      }
      service.write(io);
    };
    go();
  });
}

export function readBytes(
  pool: OpenedPool,
  volume: number,
  offset: number,
  bytes: number,
): Promise<IoResult & { readonly data: Buffer }> {
  const { frames, service } = pool;
  return new Promise((resolve) => {
    const io = new BlockIo((done) => {
      const { run } = done;
      const parts: Buffer[] = [];
      for (let n = 0; n < run.frameCount; n++) parts.push(Buffer.from(frames.view(run.frames[n]!)));
      const data = Buffer.concat(parts).subarray(run.phase, run.phase + bytes);
      if (done.status === BLOCK_STATUS.good) service.releaseRead(done);
      resolve({ status: done.status, errorOffsetBytes: done.errorOffsetBytes, data });
    });
    io.volume = volume;
    io.offsetBytes = offset;
    io.bytes = bytes;
    service.read(io);
  });
}

export function zeroBytes(pool: OpenedPool, volume: number, offset: number, bytes: number): Promise<IoResult> {
  return simpleIo(pool, "zero", volume, offset, bytes);
}

export function flush(pool: OpenedPool, volume: number): Promise<IoResult> {
  return simpleIo(pool, "flush", volume, 0, 0);
}

function simpleIo(pool: OpenedPool, kind: "zero" | "flush", volume: number, offset: number, bytes: number): Promise<IoResult> {
  return new Promise((resolve) => {
    const io = new BlockIo((done) => resolve({ status: done.status, errorOffsetBytes: done.errorOffsetBytes }));
    io.volume = volume;
    io.offsetBytes = offset;
    io.bytes = bytes;
    pool.service[kind](io);
  });
}
