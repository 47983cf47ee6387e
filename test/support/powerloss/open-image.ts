/**
 * Opens a crash image with the array's own storage code, in this thread: LevelDB drives, journal file and `openPool`, as
 * a director does, without threads and iSCSI. Reads the whole volume.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { LevelDriveMedium } from "../../../drivers/drive/level-drive.ts";
import { openJournalFile } from "../../../drivers/journal-file/file-journal.ts";
import { FrameChunks } from "../../../drivers/shared-memory/frame-chunks.ts";
import { createGlobalMemory, type GlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import { JournalSyncServer } from "../../../drivers/shared-memory/journal-sync.ts";
import { FramePool } from "../../../src/cache/frame-pool.ts";
import type { PoolConfig } from "../../../src/config/config.ts";
import { groupGeometry } from "../../../src/raid/geometry.ts";
import { stagingBytes } from "../../../src/raid/staging.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { openPool } from "../../../src/volume/pool-open.ts";
import type { BayDrive } from "../../../src/volume/pool-parts.ts";
import { PoolService } from "../../../src/volume/pool-service.ts";
import type { PoolRuntime } from "../../../src/volume/runtime.ts";
import { readBytes } from "../memory-pool.ts";
import { IMAGE_ARRAY } from "./image-array.ts";

const READ_BYTES = 256 * 1024;
const FRAMES = 4096;

/**
 * @param without - the position of a drive that is lost too: what is there must come from parity then
 * @returns what is in the volume
 * @throws what keeps the pool closed, or a block from being read
 */
export async function readImage(folder: string, without?: number): Promise<Buffer> {
  const { raid, drives, stripBlocks, geometry } = IMAGE_ARRAY;
  const group = groupGeometry({
    ...raid,
    blocksPerStrip: stripBlocks,
    stripesPerZone: geometry.stripsPerZone,
    zoneSlots: geometry.zoneCount,
  });
  const { global } = createGlobalMemory({
    directorCount: 1,
    poolCount: 1,
    driveCount: drives.length,
    poolReachedBy: [[0]],
    frameCount: FRAMES,
    stagingBytesPerPool: stagingBytes(group),
    mailboxBytes: 4096,
  });
  const media = await openDrives(folder, global, without);
  const runtime = new ImageRuntime();
  try {
    return await readPool(folder, { global, media, runtime });
  } finally {
    runtime.stop();
    for (const medium of media) if (medium instanceof LevelDriveMedium) await medium.close();
  }
}

/** Undefined: taken away on purpose. */
type Media = readonly (LevelDriveMedium | Error | undefined)[];

async function openDrives(folder: string, global: GlobalMemory, without: number | undefined): Promise<Media> {
  return Promise.all(
    IMAGE_ARRAY.drives.map(async (name, position) =>
      position === without
        ? undefined
        : LevelDriveMedium.open(join(folder, "drives", name), { name, global }).catch((error: unknown) => error as Error),
    ),
  );
}

async function readPool(
  folder: string,
  { global, media, runtime }: { global: GlobalMemory; media: Media; runtime: ImageRuntime },
): Promise<Buffer> {
  const frames = new FramePool({
    global,
    chunks: new FrameChunks(global),
    directorIndex: 0,
    directorCount: 1,
    dirtyPercentMax: 70,
  });
  const bays = media.map((medium): BayDrive => {
    // No power loss takes a drive: one that can't be opened is found by this, and not made up for by the others.
    if (medium instanceof Error) throw medium;
    if (medium === undefined) return { state: "unavailable", memberState: "missing", reason: "it was taken away" };
    const { driveId, capacityBytes } = medium.identity;
    return { state: "open", drive: medium.attach(), driveId, capacityBytes };
  });
  const { raid, drives } = IMAGE_ARRAY;
  const config: PoolConfig = { name: "A", index: 0, raid, drives, spares: [], owner: 0, reachedBy: [0] };
  const file = openJournalFile(join(folder, "journals", "A"), { global, pool: 0, director: 0 });
  runtime.pump(new JournalSyncServer(global, 0), () => file.drain());
  const pool = await openPool({
    config,
    global,
    frames,
    bays,
    journal: {
      open: () => file,
      create: () => {
        throw new Error("a pool that was in use has a journal");
      },
    },
    runtime,
    ageSeconds: 3600,
  });
  const lost = pool.status().drives.find(({ state }, position) => state !== "online" && media[position] !== undefined);
  if (lost !== undefined) throw new Error(`drive ${lost.name} is ${lost.state} after the power loss: ${lost.reason}`);
  const service = new PoolService([pool], frames);
  const [volume] = service.foundVolumes();
  if (volume === undefined) throw new Error("the volume is gone");
  const data = Buffer.alloc(IMAGE_ARRAY.volumeBytes);
  for (let at = 0; at < data.length; at += READ_BYTES) {
    const opened = { service, frames, global, events: [], kill: () => undefined };
    const read = await readBytes(opened, volume.volume, at, READ_BYTES);
    if (read.status !== BLOCK_STATUS.good) throw new Error(`read at ${at} ended with block status ${read.status}`);
    read.data.copy(data, at);
  }
  await service.stop();
  await file.close();
  return data;
}

/** Turns and timers of this thread; the journal's syncs are done at once, as nothing here is about power any more. */
class ImageRuntime implements PoolRuntime {
  #stopped = false;
  readonly #timers = new Set<NodeJS.Timeout>();

  pump(server: JournalSyncServer, drain: () => void): void {
    const turn = (): void => {
      if (this.#stopped) return;
      const ticket = server.waitForRequest(0);
      if (ticket >= 0) server.complete(ticket);
      drain();
      setImmediate(turn);
    };
    turn();
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearInterval(timer);
  }

  atTurnEnd(work: () => void): void {
    setImmediate(work);
  }

  nextTurn(work: () => void): void {
    setImmediate(work);
  }

  every(milliseconds: number, work: () => void): () => void {
    const timer = setInterval(work, milliseconds);
    this.#timers.add(timer);
    return () => {
      clearInterval(timer);
      this.#timers.delete(timer);
    };
  }

  nowMilliseconds(): number {
    return performance.now();
  }

  raise(): void {
    // Events are for people: what matters here is whether the pool opens, and what is in it.
  }

  newIdentity(): string {
    return randomBytes(16).toString("hex");
  }

  reached(): void {
    // Crash sites are the simulation's.
  }
}
