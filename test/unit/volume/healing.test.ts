import { describe, expect, test } from "vitest";
import { DriveError } from "../../../drivers/drive/drive.ts";
import { MemoryDrive, MemoryDriveState } from "../../../drivers/drive/memory-drive.ts";
import { FRAME_STATE, type FramePool } from "../../../src/cache/frame-pool.ts";
import { decodeDocument, encodeDocument } from "../../../src/map/metadata-store.ts";
import { ZONE_STATE } from "../../../src/map/zone-table.ts";
import { decodePlace } from "../../../src/raid/geometry.ts";
import { isAway } from "../../../src/raid/raid-group.ts";
import type { RaidShape } from "../../../src/raid/raid-level.ts";
import { raidLevel } from "../../../src/raid/raid-levels.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import type { HealingSettings } from "../../../src/volume/healing-settings.ts";
import { POOL_COUNT } from "../../../src/volume/pool-counters.ts";
import { POOL_KEY, type PoolDocument } from "../../../src/volume/pool-document.ts";
import { BeyondRedundancyError, PoolRefusedError } from "../../../src/volume/pool-members.ts";
import { DriveGate, type DriveOperation, interceptDrive, lateAnswer, turns, until } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  type MemoryPoolShape,
  type OpenedPool,
  openMemoryPool,
  readBytes,
  SMALL_POOL,
  unreachable,
  volumeDocument,
  writeBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;
const BLOCKS = 300;

const LEVELS: readonly RaidShape[] = [
  { level: 1, dataDrives: 1, copies: 2 },
  { level: 1, dataDrives: 1, copies: 3 },
  { level: 5, dataDrives: 3, copies: 1 },
  { level: 6, dataDrives: 2, copies: 1 },
  { level: 6, dataDrives: 4, copies: 1 },
  { level: 10, dataDrives: 2, copies: 2 },
];

function shapeOf(raid: RaidShape, spareCount: number): MemoryPoolShape {
  return { ...SMALL_POOL, ...raid, zoneSlots: 40, spareCount };
}

function content(seed: number, bytes = BLOCKS * BLOCK): Uint8Array {
  return new Uint8Array(bytes).map((_, n) => (n * 31 + (n >> 12) * 7 + seed * 101) & 0xff);
}

async function filled(media: MemoryPoolMedia, seed = 1, healing: Partial<HealingSettings> = {}): Promise<OpenedPool> {
  const pool = await openMemoryPool(media, { hurry: 50, healing });
  await pool.service.createVolume(0, volumeDocument(1, 4000 * BLOCK));
  await writeBytes(pool, 1, 0, content(seed));
  await pool.service.pool(0).destageAll();
  return pool;
}

async function expectContent(pool: OpenedPool, seed: number): Promise<void> {
  // From the drives: what is in memory proves nothing.
  const { cache } = pool.service.pool(0).parts;
  await pool.service.pool(0).destageAll();
  cache.removeRange(1, 0, 4000);
  const { status, data } = await readBytes(pool, 1, 0, BLOCKS * BLOCK);
  expect(status).toBe(BLOCK_STATUS.good);
  expect(Buffer.compare(data, content(seed))).toBe(0);
}

function states(pool: OpenedPool): Record<string, string> {
  return Object.fromEntries(pool.service.status()[0]!.drives.map(({ name, state }) => [name, state]));
}

async function healed(pool: OpenedPool): Promise<void> {
  const { record, healing } = pool.service.pool(0);
  // On record, and at rest.
  await until(() => record.document.members.every(({ state }) => state === "online") && !healing.isBusy);
}

/** Drive 01 is pulled while hosts write, and spare 04 has its place, with all that belongs there. */
async function spareTaken(pool: OpenedPool, pulled: Set<number>, written: Uint8Array): Promise<void> {
  pulled.add(1);
  await writeBytes(pool, 1, 0, written);
  await pool.service.pool(0).destageAll();
  await until(() => pool.service.pool(0).parts.group.members[1]!.name === "04");
  await healed(pool);
}

/** Drive 02 is suspect, and a spare is built from it, on record. */
async function copyBegun(pool: OpenedPool): Promise<void> {
  const { parts, record } = pool.service.pool(0);
  parts.group.members[2]!.state = "predictive";
  parts.group.members[2]!.reason = "it errs";
  await until(() => record.document.members[2]!.former !== undefined);
}

/**
 * Spare 04 is built from drive 02 of RAID-5 3+1 and is held up: what is new is on the new drive, what is old on the old one.
 * The pool is ended, unless drives that are away are to be waited for.
 */
async function copyHeldUp(healing?: Partial<HealingSettings>) {
  const media = new MemoryPoolMedia(shapeOf({ level: 5, dataDrives: 3, copies: 1 }, 1));
  const pulled = new Set<number>();
  let isHeldUp = false;
  media.wrap = (drive, position) =>
    interceptDrive(drive, async (operation, _parameters, run) => {
      if (position === 2 && operation === "readStrips") await until(() => !isHeldUp, 1_000_000);
      if (pulled.has(position) && operation !== "close") throw unreachable(drive.name);
      return run();
    });
  const pool = await filled(media, 1, healing);
  await copyBegun(pool);
  isHeldUp = true;
  await writeBytes(pool, 1, 0, content(2, 100 * BLOCK));
  await pool.service.pool(0).destageAll();
  expect(pool.service.pool(0).record.document.members[2]!.former).toBeDefined();
  if (healing === undefined) pool.kill();
  const release = (): void => {
    isHeldUp = false;
  };
  return { media, pool, pulled, release };
}

/** What `copyHeldUp` has written. */
async function expectMixed(pool: OpenedPool): Promise<void> {
  pool.service.pool(0).parts.cache.removeRange(1, 0, 4000);
  const { status, data } = await readBytes(pool, 1, 0, BLOCKS * BLOCK);
  expect(status).toBe(BLOCK_STATUS.good);
  expect(Buffer.compare(data.subarray(0, 100 * BLOCK), content(2, 100 * BLOCK))).toBe(0);
  expect(Buffer.compare(data.subarray(100 * BLOCK), content(1).subarray(100 * BLOCK))).toBe(0);
}

/** A drive that can be taken away while the pool runs, and given back. */
function pullable(media: MemoryPoolMedia): Set<number> {
  const pulled = new Set<number>();
  media.wrap = (drive, position) =>
    interceptDrive(drive, async (operation, _parameters, run) => {
      if (pulled.has(position) && operation !== "close") throw unreachable(drive.name);
      return run();
    });
  return pulled;
}

test("healing waits until the pool is open: what recovery finds of zones, and seals, is nobody else's yet", async () => {
  const media = new MemoryPoolMedia(SMALL_POOL);
  (await filled(media)).kill();
  // One drive lacks a zone, and is away for a moment; another takes its time.
  const { zones } = media.drives[3]!;
  zones.delete(Math.min(...zones.keys()));
  let isAway = true;
  let letFinish: (() => void) | undefined;
  const made: string[] = [];
  media.wrap = (drive, position) =>
    interceptDrive(drive, async (operation, _parameters, run) => {
      if (operation === "listZones" && position === 3 && isAway) {
        isAway = false;
        throw unreachable(drive.name);
      }
      if (operation === "finishZone" && position === 1)
        await new Promise<void>((go) => {
          letFinish = go;
        });
      if (operation === "createZone") made.push(drive.name);
      return run();
    });
  const opening = openMemoryPool(media, { hurry: 50 });
  await until(() => letFinish !== undefined && !isAway);
  await turns(200);
  expect(made).toEqual([]);
  letFinish!();
  const pool = await opening;
  await healed(pool);
  await expectContent(pool, 1);
  pool.kill();
});

describe.each(LEVELS)("healing of $level, $dataDrives × $copies", (raid) => {
  const level = raidLevel(raid);

  test("as many drives as may be lost are lost under load, spares take their places, and all is there without the others", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, level.tolerance));
    const pulled = pullable(media);
    const pool = await filled(media);
    for (let position = 0; position < level.tolerance; position++) {
      pulled.add(position);
      // Writes go on meanwhile.
      await writeBytes(pool, 1, 0, content(2 + position));
      await pool.service.pool(0).destageAll();
      await until(() => pool.service.pool(0).parts.group.members[position]!.state === "online");
      expect(pool.service.pool(0).parts.group.members[position]!.name).not.toBe(`0${position}`);
    }
    await healed(pool);
    expect(pool.service.status()[0]!.state).toBe("optimal");
    // As many more: what the spares have is all that there is of the first.
    for (let n = 0; n < level.tolerance; n++) pulled.add(level.driveCount - 1 - n);
    await expectContent(pool, 1 + level.tolerance);
    expect(pool.events.map(({ type }) => type)).toContain("spare.taken");
    pool.kill();
  });

  test("a drive that was away comes back and gets what it missed, not what it has", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 0));
    const pool = await filled(media);
    await pool.service.stop();
    pool.kill();
    const away = media.drives[1]!;
    media.drives[1] = undefined;
    const without = await openMemoryPool(media, { hurry: 50 });
    const before = new Set(away.zones.keys());
    await writeBytes(without, 1, 100 * BLOCK, content(1).subarray(0, 150 * BLOCK));
    await without.service.pool(0).destageAll();
    await writeBytes(without, 1, 100 * BLOCK, content(1).subarray(100 * BLOCK, 250 * BLOCK));
    await without.service.pool(0).destageAll();
    without.kill();
    media.drives[1] = away;
    const kept = [...away.zones].filter(([, { finished }]) => finished).map(([zone, { strips }]) => [zone, strips] as const);
    const again = await openMemoryPool(media, { hurry: 50 });
    expect(states(again)["01"]).toBe("rebuilding");
    await healed(again);
    expect(before.size).toBeGreaterThan(0);
    // The very strips that it had.
    for (const [zone, strips] of kept) if (away.zones.has(zone)) expect(away.zones.get(zone)!.strips).toBe(strips);
    again.kill();
    // It is worth as much as any other now.
    for (let n = 0; n < level.tolerance; n++) media.drives[n === 0 ? 0 : level.driveCount - n] = undefined;
    const last = await openMemoryPool(media);
    await expectContent(last, 1);
    last.kill();
  });
});

test("a spare that is gone is none, and people hear of it; it is one again when it is back", async () => {
  const media = new MemoryPoolMedia(shapeOf({ level: 5, dataDrives: 3, copies: 1 }, 2));
  const pulled = pullable(media);
  const pool = await filled(media);
  await until(() => states(pool)["04"] === "spare");
  pulled.add(4);
  await until(() => states(pool)["04"] === "missing", 200_000);
  expect(pool.events.filter(({ type }) => type === "spare.lost")).toMatchObject([
    { severity: "warning", subject: "drive 04", message: expect.stringMatching(/stands by no more .*; spares left: 1$/) },
  ]);
  // It is not taken for one that is lost.
  pulled.add(1);
  await writeBytes(pool, 1, 0, content(1, 100 * BLOCK));
  await pool.service.pool(0).destageAll();
  await until(() => pool.service.pool(0).parts.group.members[1]!.name === "05");
  await healed(pool);
  pulled.delete(4);
  await until(() => states(pool)["04"] === "spare", 200_000);
  expect(pool.events.filter(({ type }) => type === "spare.back")).toHaveLength(1);
  await expectContent(pool, 1);
  pool.kill();
});

test("a spare that is looked at as it becomes a member is none any more, whatever was found before", async () => {
  const media = new MemoryPoolMedia(shapeOf({ level: 5, dataDrives: 3, copies: 1 }, 1));
  const pulled = pullable(media);
  const { wrap } = media;
  let isHeld = false;
  let letGo: (() => void) | undefined;
  media.wrap = (drive, position, global) =>
    interceptDrive(wrap(drive, position, global), async (operation, _parameters, run) => {
      if (position === 4 && operation === "listZones" && isHeld) {
        isHeld = false;
        await new Promise<void>((go) => {
          letGo = go;
        });
      }
      return run();
    });
  const pool = await filled(media);
  const { healing } = pool.service.pool(0);
  isHeld = true;
  const looked = healing.placed("04");
  await until(() => letGo !== undefined);
  await spareTaken(pool, pulled, content(2));
  letGo!();
  await looked;
  expect(healing.shelf.named("04")!.state).toBe("used");
  pool.kill();
});

test("a drive that is rebuilt is not lost as its disk is full, whatever it does of a zone", async () => {
  const media = new MemoryPoolMedia(shapeOf({ level: 5, dataDrives: 3, copies: 1 }, 1));
  const pulled = pullable(media);
  const { wrap } = media;
  const full = new Map<DriveOperation, number>();
  media.wrap = (drive, position, global) =>
    interceptDrive(wrap(drive, position, global), async (operation, _parameters, run) => {
      if (position !== 4 || !["createZone", "writeStrips", "finishZone"].includes(operation)) return run();
      const tries = full.get(operation) ?? 0;
      full.set(operation, tries + 1);
      // Every other time.
      if (tries % 2 === 0) throw new DriveError("noSpace", drive.name, "no room");
      return run();
    });
  const pool = await filled(media);
  await spareTaken(pool, pulled, content(2));
  expect(pool.events.filter(({ type }) => type === "drive.failed" || type === "spare.lost")).toEqual([]);
  pulled.add(0);
  await expectContent(pool, 2);
  pool.kill();
});

test("nor is it as the pool is stopped while it waits for room", async () => {
  const media = new MemoryPoolMedia(shapeOf({ level: 5, dataDrives: 3, copies: 1 }, 1));
  const pulled = pullable(media);
  const { wrap } = media;
  let tries = 0;
  media.wrap = (drive, position, global) =>
    interceptDrive(wrap(drive, position, global), async (operation, _parameters, run) => {
      if (position !== 4 || operation !== "createZone") return run();
      tries += 1;
      throw new DriveError("noSpace", drive.name, "no room");
    });
  const pool = await filled(media);
  const { parts, healing } = pool.service.pool(0);
  pulled.add(1);
  await parts.group.lose(1, unreachable("01"));
  await until(() => tries > 1, 200_000);
  await pool.service.stop();
  await until(() => !healing.isBusy, 200_000);
  expect(parts.group.members[1]).toMatchObject({ name: "04", state: "rebuilding" });
  pool.kill();
});

describe("a spare that does not do what it is asked for as it is to be taken", () => {
  async function lostWith(error: (drive: string) => DriveError, at: DriveOperation, spareCount: number) {
    const media = new MemoryPoolMedia(shapeOf({ level: 5, dataDrives: 3, copies: 1 }, spareCount));
    const pulled = pullable(media);
    const { wrap } = media;
    let errs = true;
    let tries = 0;
    media.wrap = (drive, position, global) =>
      interceptDrive(wrap(drive, position, global), async (operation, _parameters, run) => {
        if (position !== 4 || operation !== at || !errs) return run();
        tries += 1;
        throw error(drive.name);
      });
    const pool = await filled(media);
    pulled.add(1);
    await writeBytes(pool, 1, 0, content(2));
    await pool.service.pool(0).destageAll();
    const mend = (): void => {
      errs = false;
    };
    return { pool, pulled, mend, tries: () => tries };
  }

  test.each(["forgetZones", "metadataBatch"] as const)(
    "as its disk is full (%s): it stands by, and is taken once there is room",
    async (at) => {
      const full = (drive: string): DriveError => new DriveError("noSpace", drive, "no room");
      const { pool, pulled, mend, tries } = await lostWith(full, at, 1);
      const { group } = pool.service.pool(0).parts;
      await until(() => tries() > 2, 200_000);
      expect(states(pool)["04"]).toBe("spare");
      const told = pool.events.filter(({ type, subject }) => type === "drive.noSpace" && subject === "drive 04");
      // Each time it is tried, and no more often than people can read.
      expect(tries() - told.length).toBeLessThanOrEqual(1);
      expect(pool.events.filter(({ type }) => type === "spare.lost")).toEqual([]);
      mend();
      await until(() => group.members[1]!.name === "04", 200_000);
      await healed(pool);
      pulled.add(0);
      await expectContent(pool, 2);
      pool.kill();
    },
  );

  test.each(["forgetZones", "metadataBatch"] as const)(
    "as it fails (%s): it is out, people hear of it, and the next is taken",
    async (at) => {
      const { pool } = await lostWith((drive) => new DriveError("writeFailed", drive, "a test"), at, 2);
      const { group } = pool.service.pool(0).parts;
      await until(() => group.members[1]!.name === "05", 200_000);
      await healed(pool);
      expect(states(pool)["04"]).toBe("failed");
      expect(pool.events.filter(({ type }) => type === "spare.lost")).toMatchObject([
        {
          severity: "warning",
          subject: "drive 04",
          message: expect.stringMatching(/stands by no more \(.*a test\); spares left: 1$/),
        },
      ]);
      await expectContent(pool, 2);
      pool.kill();
    },
  );
});

test("a drive that was away for a moment while another is rebuilt is asked before a spare has its place", async () => {
  const media = new MemoryPoolMedia(shapeOf({ level: 5, dataDrives: 3, copies: 1 }, 2));
  const pulled = pullable(media);
  const { wrap } = media;
  let before = 0;
  let isFull = true;
  const reset: number[] = [];
  media.wrap = (drive, position, global) =>
    interceptDrive(wrap(drive, position, global), async (operation, parameters, run) => {
      const isOld = (parameters[0] as number) < before;
      if (operation === "resetZone" && position === 1 && isOld) reset.push(parameters[0] as number);
      if (operation === "createZone" && position >= 4 && isOld && isFull) throw new DriveError("noSpace", drive.name, "no room");
      return run();
    });
  const pool = await filled(media, 1, { missingSeconds: 10 });
  const { group, map, runtime } = pool.service.pool(0).parts;
  before = map.zones.nextZone;
  await group.lose(2, new DriveError("writeFailed", "02", "it broke"));
  pulled.add(2);
  await until(() => pool.service.pool(0).healing.status?.position === 2);
  pulled.add(1);
  await group.lose(1, unreachable("01"));
  pulled.delete(1);
  const since = runtime.nowMilliseconds();
  // Longer than anybody waits for one that is away.
  await until(() => runtime.nowMilliseconds() - since > 40_000, 1_000_000);
  isFull = false;
  await healed(pool);
  expect(group.members.map(({ name }) => name)).toEqual(["00", "01", "04", "03"]);
  expect(reset).toEqual([]);
  expect(pool.service.status()[0]!.lost).toBeUndefined();
  await expectContent(pool, 1);
  pool.kill();
});

test("a drive that is lost while another is rebuilt gets its spare at once: what is new is whole again", async () => {
  const media = new MemoryPoolMedia(shapeOf({ level: 6, dataDrives: 2, copies: 1 }, 2));
  const pulled = pullable(media);
  const { wrap } = media;
  let isFull = true;
  media.wrap = (drive, position, global) =>
    interceptDrive(wrap(drive, position, global), async (operation, parameters, run) => {
      // No room for what is old: the rebuild of the first waits.
      const isOld = operation === "createZone" && (parameters[0] as number) < before;
      if (position >= 4 && isOld && isFull) throw new DriveError("noSpace", drive.name, "no room");
      return run();
    });
  let before = 0;
  const pool = await filled(media);
  const { group, map } = pool.service.pool(0).parts;
  before = map.zones.nextZone;
  pulled.add(0);
  await writeBytes(pool, 1, 0, content(1, 100 * BLOCK));
  await until(() => pool.service.pool(0).healing.status?.position === 0);
  pulled.add(3);
  await writeBytes(pool, 1, 0, content(1, 100 * BLOCK));
  await pool.service.pool(0).destageAll();
  await until(() => group.members[3]!.name === "05", 200_000);
  expect(group.members.map(({ name, state }) => `${name} ${state}`)).toEqual([
    ...["04 rebuilding", "01 online", "02 online", "05 rebuilding"],
  ]);
  isFull = false;
  await healed(pool);
  // Of the one that went on people heard once.
  const told = pool.events.filter(({ type }) => type === "rebuild.started").map(({ subject }) => subject);
  expect(told).toEqual(["drive 04", "drive 05"]);
  pulled.add(1);
  pulled.add(2);
  await expectContent(pool, 1);
  pool.kill();
});

describe("healing of RAID-5", () => {
  const raid = { level: 5, dataDrives: 3, copies: 1 } as const;

  test("a rebuild that is cut off at any point goes on where it stopped", async () => {
    for (let cut = 1; ; cut += 3) {
      const media = new MemoryPoolMedia(shapeOf(raid, 1));
      const pulled = pullable(media);
      const pool = await filled(media);
      let writes = 0;
      const wrap = media.wrap;
      media.wrap = (drive, position, global) =>
        interceptDrive(wrap(drive, position, global), async (operation, _parameters, run) => {
          if (position === 4 && (operation === "writeStrips" || operation === "finishZone") && ++writes === cut) running.kill();
          return run();
        });
      pool.kill();
      media.drives[2] = undefined;
      const running = await openMemoryPool(media, { hurry: 50 });
      await until(() => writes >= cut || running.service.pool(0).parts.group.members[2]!.state === "online");
      const isOver = writes < cut;
      running.kill();
      media.wrap = wrap;
      const again = await openMemoryPool(media, { hurry: 50 });
      await healed(again);
      pulled.add(0);
      await expectContent(again, 1);
      again.kill();
      if (isOver) break;
    }
  });

  test("when the spare fails while it is built, the next one is taken", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 2));
    const pulled = pullable(media);
    const { wrap } = media;
    media.wrap = (drive, position, global) =>
      interceptDrive(wrap(drive, position, global), async (operation, _parameters, run) => {
        if (position === 4 && operation === "writeStrips") pulled.add(4);
        return run();
      });
    const pool = await filled(media);
    pulled.add(1);
    await writeBytes(pool, 1, 0, content(3));
    await pool.service.pool(0).destageAll();
    await until(() => pool.service.pool(0).parts.group.members[1]!.name === "05");
    await healed(pool);
    pulled.add(0);
    await expectContent(pool, 3);
    pool.kill();
  });

  test("a drive that is lost in the moment in which its rebuild ends is lost", async () => {
    // Between the rebuild's last look at its drive and the pool's hearing of it lie a few turns of promises.
    for (let wait = 0; wait < 10; wait++) {
      const media = new MemoryPoolMedia(shapeOf(raid, 1));
      const pulled = pullable(media);
      const { wrap } = media;
      let isLost = false;
      let pool: OpenedPool | undefined;
      media.wrap = (drive, position, global) =>
        interceptDrive(wrap(drive, position, global), async (operation, parameters, run) => {
          const answer = await run();
          if (position !== 4 || operation !== "finishZone" || pool === undefined) return answer;
          const { group, map } = pool.service.pool(0).parts;
          const [zone] = parameters as [number];
          const { zones } = map;
          const isLast = zones.zone.every(
            (other, slot) => zones.live[slot] === 0 || other === zone || group.members[1]!.hasZone?.(other) === true,
          );
          if (!isLast) return answer;
          pulled.add(4);
          let turn = Promise.resolve();
          for (let n = 0; n < wait; n++) turn = turn.then(() => undefined);
          void turn.then(() => {
            isLost = true;
            return group.lose(1, unreachable("04"), group.members[1]!.drive);
          });
          return answer;
        });
      pool = await filled(media);
      pulled.add(1);
      await writeBytes(pool, 1, 0, content(3));
      await until(() => isLost && !pool!.service.pool(0).healing.isBusy);
      const { parts, record } = pool.service.pool(0);
      expect(parts.group.members[1]!.state).toBe("missing");
      await until(() => record.document.members[1]!.state === "missing");
      await expectContent(pool, 3);
      pool.kill();
    }
  });

  test("a suspect drive serves until the spare has all of it, and redundancy is whole all the time", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const pool = await filled(media);
    const { group } = pool.service.pool(0).parts;
    const suspect = group.members[2]!;
    suspect.state = "predictive";
    suspect.reason = "it errs";
    let from: string | undefined;
    await until(() => {
      expect(group.state).toBe("optimal");
      from ??= group.members[2]!.former?.name;
      return from !== undefined;
    });
    expect(from).toBe("02");
    await healed(pool);
    expect(group.members[2]!.former).toBeUndefined();
    pulled.add(2);
    pulled.add(0);
    await expectContent(pool, 1);
    pool.kill();
  });

  test("a drive that another is built from is opened under the new owner's epoch, and goes on being read", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pool = await filled(media);
    await copyBegun(pool);
    const [other, former] = [media.drives[0]!, media.drives[2]!];
    pool.kill();
    const before = other.fence.epoch;
    const again = await openMemoryPool(media, { hurry: 50 });
    expect(again.service.pool(0).parts.group.members[2]!.former?.name).toBe("02");
    expect(other.fence.epoch).toBeGreaterThan(before);
    expect(former.fence.epoch).toBe(other.fence.epoch);
    await healed(again);
    again.kill();
    for (const position of [0, 2]) media.drives[position] = undefined;
    const last = await openMemoryPool(media);
    await expectContent(last, 1);
    last.kill();
  });

  test("a drive that another is built from, and that fails as the pool opens, is done without", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pool = await filled(media);
    await copyBegun(pool);
    pool.kill();
    let opens = 0;
    media.wrap = (drive, position) =>
      interceptDrive(drive, async (operation, _parameters, run) => {
        // The first is to read its documents.
        if (position === 2 && operation === "open" && ++opens > 1) throw unreachable(drive.name);
        return run();
      });
    const again = await openMemoryPool(media, { hurry: 50 });
    expect(again.service.pool(0).parts.group.members[2]!.former?.drive).toBeUndefined();
    await healed(again);
    expect(again.service.pool(0).parts.group.members[2]!.former).toBeUndefined();
    expect(states(again)["04"]).toBe("online");
    again.kill();
    for (const position of [0, 2]) media.drives[position] = undefined;
    const last = await openMemoryPool(media);
    await expectContent(last, 1);
    last.kill();
  });

  test("a drive that another is built from, and that can't say at a start what it has, is waited for", async () => {
    const { media, release } = await copyHeldUp();
    release();
    const [zone] = [...media.drives[2]!.zones.keys()].filter((zone) => media.drives[4]!.zones.get(zone)?.finished !== true);
    media.drives[0]!.zones.get(zone!)!.strips.clear();
    let isAsked = false;
    let isThere = false;
    const { wrap } = media;
    media.wrap = (drive, position, global) =>
      interceptDrive(wrap(drive, position, global), async (operation, _parameters, run) => {
        isAsked ||= position === 2 && operation === "listZones";
        if (position === 2 && isAsked && !isThere) throw unreachable(drive.name);
        return run();
      });
    const again = await openMemoryPool(media, { hurry: 50, healing: { missingSeconds: 1_000_000 } });
    const { group } = again.service.pool(0).parts;
    expect(isAway(group.members[2]!.former)).toBe(true);
    expect(states(again)).toMatchObject({ "02": "missing" });
    isThere = true;
    await healed(again);
    await until(() => !again.service.pool(0).losses.isBusy);
    await expectMixed(again);
    expect(again.service.status()[0]!.lost).toBeUndefined();
    again.kill();
  });

  test("a drive that was being built and is not there at a start gives its place back to the one it was built from", async () => {
    for (const [isReplaced, isAnotherAway] of [
      [false, true],
      [true, true],
      [true, false],
    ] as const) {
      const media = new MemoryPoolMedia(shapeOf(raid, 1));
      const pool = await filled(media);
      await copyBegun(pool);
      pool.kill();
      media.drives[4] = isReplaced
        ? new MemoryDriveState({ name: "04", driveId: "new", geometry: media.drives[0]!.identity })
        : undefined;
      // With the one that it was built from, all others but one are enough.
      if (isAnotherAway) media.drives[0] = undefined;
      const again = await openMemoryPool(media, { hurry: 50 });
      expect(again.service.pool(0).record.document.members[2]).toMatchObject({
        name: "02",
        driveId: media.drives[2]!.identity.driveId,
      });
      await expectContent(again, 1);
      again.kill();
    }
  });

  test.each([
    ["the drive that is being built", 4],
    ["the drive that another is built from", 2],
  ] as const)("a start that is refused without %s does not forget it", async (_which, away) => {
    const { media, release } = await copyHeldUp();
    release();
    const kept = media.drives[away];
    for (const position of [0, away]) media.drives[position] = undefined;
    await expect(openMemoryPool(media)).rejects.toThrow(/can't be had from the drives that are there/);
    media.drives[away] = kept;
    const again = await openMemoryPool(media, { hurry: 50 });
    await expectMixed(again);
    again.kill();
  });

  test("a drive that is lost while the pool opens does not make a drive forgotten that is not there, nor the pool a lossy one", async () => {
    const { media, release } = await copyHeldUp();
    release();
    const built = media.drives[4];
    media.drives[4] = undefined;
    media.wrap = (drive, position) =>
      interceptDrive(drive, async (operation, _parameters, run) => {
        if (position === 0 && operation === "listZones") throw unreachable(drive.name);
        return run();
      });
    await expect(openMemoryPool(media)).rejects.toThrow(/can't be had from the drives that are there/);
    media.drives[4] = built;
    media.drives[0] = undefined;
    media.wrap = (drive) => drive;
    const again = await openMemoryPool(media, { hurry: 50 });
    expect(again.service.pool(0).record.document.lossy).toBeUndefined();
    await expectMixed(again);
    again.kill();
  });

  test("a drive that failed as a member is no spare, wherever its pool is killed", async () => {
    // As a spare takes its place; as it was being built, and its place was given back at the next start.
    for (const isBuilt of [false, true]) {
      const media = new MemoryPoolMedia(shapeOf(raid, 2));
      let pool = await filled(media);
      const { record, parts } = pool.service.pool(0);
      const failed = isBuilt ? "04" : "01";
      const lose = (position: number): Promise<void> =>
        parts.group.lose(position, new DriveError("unrecoveredRead", failed, "a test"));
      if (isBuilt) {
        await copyBegun(pool);
        const updateMembers = record.updateMembers.bind(record);
        record.updateMembers = async (...members) => {
          await updateMembers(...members);
          pool.kill();
        };
        await lose(2).catch(() => undefined);
      } else {
        const joinMember = record.joinMember.bind(record);
        record.joinMember = async (...join) => {
          await joinMember(...join);
          pool.kill();
        };
        await lose(1);
        await until(() => record.document.members[1]!.name === "04", 1_000_000);
      }
      await turns(100);
      pool = await openMemoryPool(media, { hurry: 50 });
      await healed(pool);
      expect({ isBuilt, state: states(pool)[failed] }).toEqual({ isBuilt, state: "failed" });
      pool.kill();
    }
  });

  test("nothing is given up while the drive that another is built from is away for a moment", async () => {
    const { media, pool, pulled, release } = await copyHeldUp({ missingSeconds: 1_000_000 });
    const { group } = pool.service.pool(0).parts;
    pulled.add(2);
    await group.lose(2, unreachable("02"), group.members[2]!.former!.drive);
    release();
    await group.lose(1, new DriveError("unrecoveredRead", "01", "a test"));
    pool.service.pool(0).parts.cache.removeRange(1, 0, 4000);
    for (let block = 0; block < BLOCKS; block += 7) await readBytes(pool, 1, block * BLOCK, BLOCK);
    // Time enough for a walk with all its patience.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(pool.service.status()[0]!.lost).toBeUndefined();
    pulled.delete(2);
    await until(() => group.members[2]!.state === "online", 1_000_000);
    const { losses } = pool.service.pool(0);
    await until(() => !losses.isBusy, 1_000_000);
    await expectMixed(pool);
    expect(pool.service.status()[0]!.lost).toBeUndefined();
    pool.kill();
    expect(media.drives[2]).toBeDefined();
  });

  test("a read-only pool is opened anew for a drive that was being built, though another has its place meanwhile", async () => {
    const { media, release } = await copyHeldUp();
    release();
    const away = new Set([0, 4]);
    media.wrap = (drive, position) =>
      interceptDrive(drive, async (_operation, _parameters, run) => {
        if (away.has(position)) throw unreachable(drive.name);
        return run();
      });
    await expect(openMemoryPool(media)).rejects.toThrow(BeyondRedundancyError);
    let returns = 0;
    const onReturn = (): void => {
      returns += 1;
    };
    const pool = await openMemoryPool(media, { hurry: 100, readOnly: { onReturn, knownVersion: 0 } });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(returns).toBe(0);
    away.delete(4);
    await until(() => returns > 0, 1_000_000);
    pool.kill();
  });

  test("drives that prove the map to be an older copy are not held to have failed", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 0));
    (await filled(media)).kill();
    const { zones } = media.drives[3]!;
    zones.set(1000, zones.get(Math.min(...zones.keys()))!);
    await expect(openMemoryPool(media)).rejects.toThrow(/the map is an older copy/);
    zones.delete(1000);
    const again = await openMemoryPool(media);
    expect(states(again)).toEqual({ "00": "online", "01": "online", "02": "online", "03": "online" });
    again.kill();
  });

  test("an opening that ends as spares are looked at leaves nothing in memory", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pool = await filled(media);
    await writeBytes(pool, 1, 0, content(2));
    pool.kill();
    let frames: FramePool | undefined;
    media.wrap = (drive, position) =>
      interceptDrive(drive, async (operation, _parameters, run) => {
        if (position === 4 && operation === "identify") {
          const lost = unreachable(drive.name);
          throw Object.assign(lost, { threadLost: true });
        }
        return run();
      });
    await expect(openMemoryPool(media, { onFrames: (made) => (frames = made) })).rejects.toThrow();
    expect(frames!.count(FRAME_STATE.dirty)).toBe(0);
  });

  test("a new drive in the place of one that was replaced gets it back, and the spare stands by again", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const pool = await filled(media);
    await spareTaken(pool, pulled, content(2));
    await pool.service.stop();
    pool.kill();
    pulled.delete(1);
    media.drives[1] = new MemoryDriveState({ name: "01", driveId: "new", geometry: media.drives[0]!.identity });
    const again = await openMemoryPool(media, { hurry: 50 });
    await until(() => again.service.pool(0).parts.group.members[1]!.name === "01");
    await healed(again);
    expect(again.events.filter(({ type }) => type === "copyBack.started" || type === "spare.taken")).toMatchObject([
      { severity: "info", type: "copyBack.started", subject: "drive 01" },
    ]);
    expect(states(again)).toEqual({ "00": "online", "01": "online", "02": "online", "03": "online", "04": "spare" });
    pulled.add(0);
    await expectContent(again, 2);
    again.kill();
  });

  test("a new drive in a spare's place is a spare, also when the member that was there gives its position to another", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const pool = await filled(media);
    await spareTaken(pool, pulled, content(2));
    await pool.service.stop();
    pool.kill();
    pulled.delete(1);
    const geometry = media.drives[0]!.identity;
    media.drives[1] = new MemoryDriveState({ name: "01", driveId: "new", geometry });
    media.drives[4] = new MemoryDriveState({ name: "04", driveId: "new spare", geometry });
    const again = await openMemoryPool(media, { hurry: 50 });
    await healed(again);
    expect(states(again)).toEqual({ "00": "online", "01": "online", "02": "online", "03": "online", "04": "spare" });
    await expectContent(again, 2);
    again.kill();
  });

  test("a spare that was used is wiped when it stands by again, also after a restart, and can be given every zone anew", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    let pool = await filled(media);
    const spare = media.drives[4]!;
    const isWiped = (): boolean => spare.zones.size === 0 && spare.metadata.size === 0 && spare.ledger.intervalCount === 0;
    const loseAndReplace = async (cutAt: number): Promise<void> => {
      await spareTaken(pool, pulled, content(1, BLOCK));
      expect(spare.zones.size).toBeGreaterThan(1);
      await pool.service.stop();
      pool.kill();
      pulled.delete(1);
      media.drives[1] = new MemoryDriveState({ name: "01", driveId: `new ${cutAt}`, geometry: media.drives[0]!.identity });
      pool = await openMemoryPool(media, { hurry: 50 });
      await until(() => states(pool)["04"] === "spare");
      await until(() => spare.zones.size <= cutAt);
    };
    await loseAndReplace(1);
    // In the middle of it.
    await pool.service.stop();
    pool.kill();
    expect(isWiped()).toBe(false);
    pool = await openMemoryPool(media, { hurry: 50 });
    await until(isWiped);
    await loseAndReplace(0);
    await until(isWiped);
    // None of its zones had to be moved for it: it could be given all that it had before.
    pulled.add(2);
    await writeBytes(pool, 1, 0, content(1, BLOCK));
    const { parts } = pool.service.pool(0);
    await pool.service.pool(0).destageAll();
    await until(() => parts.group.members[2]!.name === "04");
    await healed(pool);
    expect(parts.counters[POOL_COUNT.compactedZones]).toBe(0);
    pulled.add(0);
    await expectContent(pool, 1);
    pool.kill();
  });

  test("a drive that was a member is not wiped while another is missing, whoever has its place", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const pool = await filled(media);
    await spareTaken(pool, pulled, content(1, BLOCK));
    await pool.service.stop();
    pool.kill();
    pulled.delete(1);
    const [other, old] = [media.drives[0], media.drives[1]!];
    media.drives[0] = undefined;
    const zones = [...old.zones.keys()];
    const degraded = await openMemoryPool(media, { hurry: 50 });
    expect(states(degraded)).toMatchObject({ "00": "missing", "01": "spare", "04": "online" });
    await turns(5000);
    expect([...old.zones.keys()]).toEqual(zones);
    degraded.kill();
    media.drives[0] = other;
    const whole = await openMemoryPool(media, { hurry: 50 });
    await until(() => whole.service.pool(0).parts.group.members[1]!.name === "01" && media.drives[4]!.metadata.size === 0);
    await healed(whole);
    pulled.add(0);
    await expectContent(whole, 1);
    whole.kill();
  });

  test("a drive that is what it was before it became a member is built anew", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 0));
    const pulled = pullable(media);
    const pool = await filled(media);
    await pool.service.stop();
    pool.kill();
    const { driveId, ...geometry } = media.drives[1]!.identity;
    media.drives[1] = new MemoryDriveState({ name: "01", driveId, geometry });
    const again = await openMemoryPool(media, { hurry: 50 });
    expect(states(again)).toMatchObject({ "01": "foreign" });
    await healed(again);
    pulled.add(0);
    await expectContent(again, 1);
    again.kill();
  });

  test.each([
    ["at a start", false],
    ["while the pool runs", true],
  ])("a drive that is back in its place, where another pool's was, is brought up to date: %s", async (_when, isRunning) => {
    const media = new MemoryPoolMedia(shapeOf(raid, 0));
    const pool = await filled(media);
    await pool.service.stop();
    pool.kill();
    const own = media.drives[1]!;
    const had = new Set([...own.zones].flatMap(([zone, { finished }]) => (finished ? [zone] : [])));
    expect(had.size).toBeGreaterThan(0);
    const stray = new MemoryDriveState({ name: "01", driveId: "stray", geometry: own.identity });
    const record = decodeDocument(own.metadata.get(POOL_KEY)!) as PoolDocument;
    stray.metadata.set(POOL_KEY, encodeDocument({ ...record, poolId: "another", name: "B" }));
    media.drives[1] = stray;
    let isBack = false;
    const asked: string[] = [];
    media.wrap = (drive, position, global) => {
      if (position !== 1) return drive;
      const back = new MemoryDrive(own, global);
      const either = interceptDrive(back, (operation, parameters, run) =>
        isBack ? run() : (drive[operation] as (...given: unknown[]) => Promise<unknown>).apply(drive, [...parameters]),
      );
      return interceptDrive(either, async (operation, [zone], run) => {
        if ((operation === "resetZone" || operation === "createZone") && had.has(zone as number)) asked.push(operation);
        return run();
      });
    };
    let again = await openMemoryPool(media, { hurry: 50 });
    expect(states(again)).toMatchObject({ "01": "foreign" });
    await writeBytes(again, 1, 0, content(1, 10 * BLOCK));
    await again.service.pool(0).destageAll();
    // What the drive that is away has is not given up, whatever happens to the others.
    const [zone] = had;
    media.drives[0]!.zones.get(zone!)!.strips.delete(3);
    isBack = true;
    if (isRunning) await again.service.pool(0).healing.placed("01");
    else {
      again.kill();
      media.drives[1] = own;
      again = await openMemoryPool(media, { hurry: 50 });
    }
    await healed(again);
    expect(asked).toEqual([]);
    await expectContent(again, 1);
    expect(again.service.status()[0]!.lost).toBeUndefined();
    again.kill();
  });

  test("a spare that does not say whether it was wiped is none until the next start", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const { wrap } = media;
    let isLate = false;
    media.wrap = (drive, position, global) =>
      interceptDrive(wrap(drive, position, global), async (operation, _parameters, run) => {
        if (position === 4 && isLate && operation === "resetZone") throw lateAnswer(drive.name).error;
        return run();
      });
    const pool = await filled(media);
    await spareTaken(pool, pulled, content(1, BLOCK));
    await pool.service.stop();
    pool.kill();
    pulled.delete(1);
    media.drives[1] = new MemoryDriveState({ name: "01", driveId: "new", geometry: media.drives[0]!.identity });
    isLate = true;
    const late = await openMemoryPool(media, { hurry: 50 });
    await until(() => states(late)["04"] === "failed");
    isLate = false;
    await late.service.pool(0).healing.hurry();
    expect(states(late)["04"]).toBe("failed");
    await healed(late);
    await late.service.stop();
    late.kill();
    const again = await openMemoryPool(media, { hurry: 50 });
    await until(() => media.drives[4]!.zones.size === 0 && media.drives[4]!.metadata.size === 0);
    expect(states(again)["04"]).toBe("spare");
    again.kill();
  });

  test("a drive that could not be read at a start that was refused for it is in order at the next one", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const { wrap } = media;
    const pool = await filled(media);
    const gate = new DriveGate();
    gate.close("createZone");
    media.wrap = (drive, position, global) =>
      position === 4 ? gate.wrap(wrap(drive, position, global)) : wrap(drive, position, global);
    pool.kill();
    media.drives[1] = undefined;
    const degraded = await openMemoryPool(media, { hurry: 50 });
    await until(() => degraded.service.pool(0).record.document.members[1]!.name === "04");
    degraded.kill();
    // Nothing was built yet, and the record of another can't be read.
    media.wrap = (drive, position, global) =>
      interceptDrive(wrap(drive, position, global), async (operation, parameters, run) => {
        if (position === 3 && operation === "metadataGet" && parameters[0] === "pool")
          throw new DriveError("unrecoveredRead", drive.name, "read error");
        return run();
      });
    for (let times = 0; times < 3; times++) await expect(openMemoryPool(media)).rejects.toThrow(PoolRefusedError);
    media.wrap = wrap;
    const again = await openMemoryPool(media, { hurry: 50 });
    await healed(again);
    pulled.add(0);
    await expectContent(again, 1);
    again.kill();
  });

  test("what a rebuild leaves out, as nothing lives in it, is held against no drive", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 2));
    const pulled = pullable(media);
    const pool = await filled(media);
    const { parts, compactor } = pool.service.pool(0);
    // Stripes here and there in which nothing lives any more.
    for (let block = 0; block < BLOCKS; block += 24) await writeBytes(pool, 1, block * BLOCK, content(1, 12 * BLOCK));
    await pool.service.pool(0).destageAll();
    for (const position of [1, 2]) {
      pulled.add(position);
      await writeBytes(pool, 1, 0, content(1, BLOCK));
      await pool.service.pool(0).destageAll();
      await until(() => parts.group.members[position]!.name === `0${position + 3}`);
      await healed(pool);
    }
    const written = (position: number): number => {
      return [...media.drives[position]!.zones.values()].reduce((sum, { strips }) => sum + strips.size, 0);
    };
    expect(written(4)).toBeLessThan(written(0));
    for (let slot = 0; slot < parts.map.zones.slotCount; slot++) await compactor.evacuate(slot);
    for (const { name } of parts.group.members) expect(parts.driveHealth.status(name, 0).errors, name).toBe(0);
    pool.kill();
  });

  test("no drive gives its place back to another while the group can't do without it", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const pool = await filled(media);
    await spareTaken(pool, pulled, content(2));
    await pool.service.stop();
    pool.kill();
    pulled.delete(1);
    // A new drive for the one, and the other is gone, which has the only other copy of the map.
    media.drives[1] = new MemoryDriveState({ name: "01", driveId: "new", geometry: media.drives[0]!.identity });
    const other = media.drives[0];
    media.drives[0] = undefined;
    const again = await openMemoryPool(media, { hurry: 50 });
    for (let seed = 3; seed < 9; seed++) {
      await writeBytes(again, 1, 0, content(seed));
      await again.service.pool(0).destageAll();
    }
    expect(again.service.pool(0).parts.health.reason).toBeUndefined();
    expect(states(again)).toMatchObject({ "00": "missing", "01": "spare", "04": "online" });
    await expectContent(again, 8);
    again.kill();
    // When it is there again and has all, the place is given back.
    media.drives[0] = other;
    const whole = await openMemoryPool(media, { hurry: 50 });
    await until(() => whole.service.pool(0).parts.group.members[1]!.name === "01");
    await healed(whole);
    await expectContent(whole, 8);
    whole.kill();
  });

  test("compaction does not take away a zone that is just being given to the drive that is rebuilt", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const { wrap } = media;
    let held: number | undefined;
    let pool: OpenedPool | undefined;
    media.wrap = (drive, position, global) =>
      interceptDrive(wrap(drive, position, global), async (operation, parameters, run) => {
        if (pool === undefined || position !== 4 || operation !== "createZone" || held !== undefined) return run();
        const { parts, compactor } = pool.service.pool(0);
        const slot = parts.map.zones.zone.indexOf(parameters[0] as number);
        await run();
        if (parts.map.zones.live[slot]! === 0) return;
        held = slot;
        void compactor.evacuate(slot);
        for (let n = 0; n < 200 && parts.map.zones.state[slot] === ZONE_STATE.sealed; n++) await turns(20);
        await turns(200);
      });
    pool = await filled(media);
    pulled.add(1);
    await writeBytes(pool, 1, 0, content(2));
    await pool.service.pool(0).destageAll();
    const { group } = pool.service.pool(0).parts;
    await until(() => group.members[1]!.name === "04" && group.members[1]!.state !== "rebuilding");
    await healed(pool);
    expect(held).toBeDefined();
    expect(pool.events.filter(({ type }) => type === "drive.failed")).toEqual([]);
    const { zones } = pool.service.pool(0).parts.map;
    const known = new Set([...zones.zone].filter((_, slot) => zones.state[slot] !== ZONE_STATE.free));
    expect([...media.drives[4]!.zones.keys()].filter((zone) => !known.has(zone))).toEqual([]);
    await expectContent(pool, 2);
    pool.kill();
  });

  test.each([
    ["a spare", 4],
    ["a new drive in the lost one's place", 1],
  ])("%s that is out of reach for a moment when it is taken is taken later", async (_, taken) => {
    const media = new MemoryPoolMedia(shapeOf(raid, taken === 4 ? 1 : 0));
    const pool = await filled(media);
    await pool.service.stop();
    pool.kill();
    media.drives[1] =
      taken === 4 ? undefined : new MemoryDriveState({ name: "01", driveId: "new", geometry: media.drives[0]!.identity });
    let wipes = 0;
    media.wrap = (drive, position) =>
      interceptDrive(drive, async (operation, parameters, run) => {
        const isWipe = position === taken && operation === "metadataScan" && (parameters[0] as { from: string }).from === " ";
        if (isWipe && ++wipes === 1) throw unreachable(drive.name);
        return run();
      });
    const again = await openMemoryPool(media, { hurry: 50 });
    await until(() => again.service.pool(0).parts.group.members[1]!.state === "online", 1_000_000);
    expect(wipes).toBe(2);
    await healed(again);
    await expectContent(again, 1);
    again.kill();
  });

  test("what was written and waits for its map entry is rebuilt, too", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const pool = await filled(media);
    const { map, group } = pool.service.pool(0).parts;
    // A batch is on the drives, and the pages of the map that it changes are long in coming.
    let isHeld = true;
    const waiting: (() => void)[] = [];
    const pinPages = map.pinPages.bind(map);
    map.pinPages = async (...pages) => {
      if (isHeld) await new Promise<void>((resolve) => waiting.push(resolve));
      return pinPages(...pages);
    };
    await writeBytes(pool, 1, 0, content(2));
    const destaged = pool.service.pool(0).destageAll();
    await until(() => waiting.length > 0);
    pulled.add(1);
    await group.lose(1, unreachable("01"));
    await until(() => group.members[1]!.name === "04");
    await turns(2000);
    isHeld = false;
    for (const go of waiting) go();
    await destaged;
    await healed(pool);
    pulled.add(0);
    await expectContent(pool, 2);
    pool.kill();
  });

  test("a drive is asked for nothing that was not given to it, also by a read that is older than what was written since", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const pool = await filled(media);
    const { parts, compactor } = pool.service.pool(0);
    // All of it is written anew, and a read of what was there before is under way.
    const slot = decodePlace(parts.geometry, parts.map.lookup(1, 0)).slot;
    parts.zoneUse.reading[slot]! += 1;
    void compactor.stop();
    await writeBytes(pool, 1, 0, content(2));
    await pool.service.pool(0).destageAll();
    expect(parts.map.zones.live[slot]).toBe(0);
    pulled.add(1);
    await parts.group.lose(1, unreachable("01"));
    await until(() => parts.group.members[1]!.name === "04");
    await turns(3000);
    expect(parts.group.readable(1, parts.map.zones.zone[slot]!)).toBeUndefined();
    parts.zoneUse.reading[slot]! -= 1;
    await healed(pool);
    pool.kill();
  });

  test("a drive that gets its place back holds no zone that was removed meanwhile, and has room for what comes", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const { wrap } = media;
    let isBuilt = (): void => undefined;
    media.wrap = (drive, position, global) =>
      interceptDrive(wrap(drive, position, global), async (operation, _parameters, run) => {
        if (position === 4 && operation === "finishZone") await new Promise<void>((resolve) => (isBuilt = resolve));
        return run();
      });
    const pool = await filled(media);
    const { parts, compactor } = pool.service.pool(0);
    const { group, map } = parts;
    group.members[2]!.state = "predictive";
    await until(() => group.members[2]!.name === "04");
    const old = [...media.drives[2]!.zones.keys()];
    await turns(200);
    for (let slot = 0; slot < map.zones.slotCount; slot++) {
      if (map.zones.state[slot] === ZONE_STATE.sealed) void compactor.evacuate(slot);
    }
    const known = () => new Set([...map.zones.zone].filter((_, slot) => map.zones.state[slot] !== ZONE_STATE.free));
    await until(() => old.some((zone) => !known().has(zone)));
    pulled.add(4);
    isBuilt();
    await until(() => group.members[2]!.name === "02");
    await healed(pool);
    expect([...media.drives[2]!.zones.keys()].filter((zone) => !known().has(zone))).toEqual([]);
    await expectContent(pool, 1);
    pool.kill();
  });

  test.each([
    ["and the drive before has its place again", false],
    ["and where the drive before is gone, too, the position is rebuilt from the others", true],
  ])("a spare may fail before anything was built, %s", async (_, isGone) => {
    const media = new MemoryPoolMedia(shapeOf(raid, isGone ? 2 : 1));
    const pulled = pullable(media);
    const pool = await filled(media);
    const { record, parts } = pool.service.pool(0);
    const { group } = parts;
    const joinMember = record.joinMember.bind(record);
    record.joinMember = async (drive, join) => {
      await joinMember(drive, join);
      if (drive.name !== "04") return;
      pulled.add(4);
      if (isGone) pulled.add(2);
      await group.lose(2, unreachable("04"));
    };
    group.members[2]!.state = "predictive";
    await until(() => group.members[2]!.name === "04");
    await until(() => group.members[2]!.name === (isGone ? "05" : "02"));
    await healed(pool);
    pulled.add(0);
    await expectContent(pool, 1);
    pool.kill();
  });

  test("a suspect is not replaced any more where another is lost while the spare gets the pool's records", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const pool = await filled(media);
    const { record, parts } = pool.service.pool(0);
    const { group } = parts;
    const joinMember = record.joinMember.bind(record);
    record.joinMember = (drive, join) =>
      joinMember(drive, () => {
        // No other is left that could do without it: what the spare is to be built from must not be let go.
        if (group.members[2]!.name === "02" && !pulled.has(0)) {
          pulled.add(0);
          group.lose(0, unreachable("00")).catch(() => undefined);
        }
        return join();
      });
    group.members[2]!.state = "predictive";
    await until(() => pulled.has(0));
    await until(() => group.members[0]!.name === "04", 1_000_000);
    expect(group.members[2]!.name).toBe("02");
    await expectContent(pool, 1);
    pool.kill();
  });

  test("a suspect that is lost while a spare gets the pool's records is not what the spare is built from", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const pool = await filled(media);
    const { record, parts } = pool.service.pool(0);
    const { group } = parts;
    const joinMember = record.joinMember.bind(record);
    record.joinMember = async (drive, join) => {
      pulled.add(2);
      await group.lose(2, unreachable("02"));
      await writeBytes(pool, 1, 0, content(2));
      pulled.delete(2);
      record.joinMember = joinMember;
      await joinMember(drive, join);
    };
    group.members[2]!.state = "predictive";
    await until(() => group.members[2]!.name === "04", 1_000_000);
    expect(group.members[2]!.former).toBeUndefined();
    pool.kill();
  });

  test("a drive that gets its place back, as its successor failed, is not its own former one on record", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const { wrap } = media;
    media.wrap = (drive, position, global) =>
      interceptDrive(wrap(drive, position, global), async (operation, _parameters, run) => {
        if (position === 4 && operation === "writeStrips") pulled.add(4);
        return run();
      });
    const pool = await filled(media);
    const { record, parts } = pool.service.pool(0);
    const seen = new Set<string>();
    const update = record.joinMember.bind(record);
    record.joinMember = async (drive, join) => {
      await update(drive, join);
      const { name, former } = record.document.members[2]!;
      seen.add(`${name} from ${former?.name}`);
    };
    parts.group.members[2]!.state = "predictive";
    await until(() => seen.size === 2);
    await healed(pool);
    expect([...seen]).toEqual(["04 from 02", "02 from undefined"]);
    await expectContent(pool, 1);
    pool.kill();
  });

  test("the map is on two good drives again", async () => {
    const media = new MemoryPoolMedia(shapeOf(raid, 1));
    const pulled = pullable(media);
    const pool = await filled(media);
    pulled.add(0);
    await writeBytes(pool, 1, 0, content(2));
    await pool.service.pool(0).destageAll();
    await until(() => pool.service.pool(0).parts.group.members[0]!.name === "04");
    await healed(pool);
    await pool.service.stop();
    pool.kill();
    // The other copy of the map is gone with its drive.
    media.drives[1] = undefined;
    const again = await openMemoryPool(media);
    await expectContent(again, 2);
    again.kill();
  });
});
