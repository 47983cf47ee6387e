import { describe, expect, test } from "vitest";
import { MemoryDrive, MemoryDriveState } from "../../../drivers/drive/memory-drive.ts";
import { dataChecksum } from "../../../drivers/shared-memory/data-checksum.ts";
import { createGlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../../drivers/shared-memory/layout.ts";
import { MetadataStore } from "../../../src/map/metadata-store.ts";
import { PoolMap } from "../../../src/map/pool-map.ts";
import { ZONE_STATE } from "../../../src/map/zone-table.ts";
import { decodePlace, groupGeometry } from "../../../src/raid/geometry.ts";
import { type Member, RaidGroup } from "../../../src/raid/raid-group.ts";
import { Staging, stagingBytes } from "../../../src/raid/staging.ts";
import { blockMatches } from "../../../src/raid/strip.ts";
import { StripeBatch } from "../../../src/raid/stripe-batch.ts";
import { ZoneAppender } from "../../../src/raid/zone-appender.ts";
import { DriveGate, type DriveOperation, interceptDrive, turns, until } from "../../support/gated-drive.ts";

const geometry = groupGeometry({ dataDrives: 2, blocksPerStrip: 2, stripesPerZone: 8, zoneSlots: 8 });
const { blocksPerStripe, stripesPerZone } = geometry;
const VOLUME = 7;

interface Call {
  readonly operation: DriveOperation;
  readonly position: number;
  readonly zone: number | undefined;
}

/** An appender over three memory drives, whose calls are seen and can be held. */
async function rig(options: { zonesArePlenty?: boolean; freeZone?: () => Promise<void>; mayTakeZone?: () => boolean } = {}) {
  const { global } = createGlobalMemory({
    directorCount: 1,
    poolCount: 1,
    driveCount: geometry.driveCount,
    poolReachedBy: [[0]],
    frameCount: 256,
    stagingBytesPerPool: stagingBytes(geometry),
    mailboxBytes: 4096,
  });
  const gate = new DriveGate();
  const calls: Call[] = [];
  /** Stripes that the drives have been asked to write, and those that they have. */
  const lost: string[] = [];
  const { stripBytes } = geometry.shape;
  const shape = { capacityBytes: stripBytes * 64, stripBytes, stripsPerZone: stripesPerZone, zoneCount: geometry.zoneSlots };
  const faults = { fail: -1 };
  const members: Member[] = [];
  for (let position = 0; position < geometry.driveCount; position++) {
    const bare = new MemoryDrive(new MemoryDriveState({ name: `${position}`, driveId: `${position}`, geometry: shape }), global);
    await bare.open(1);
    const drive = interceptDrive(gate.wrap(bare), async (operation, parameters, run) => {
      const first = parameters[0] as { zone?: number } | number | undefined;
      calls.push({ operation, position, zone: typeof first === "number" ? first : first?.zone });
      if (operation === "writeStrips" && faults.fail === position) throw new Error("broken");
      return run();
    });
    members.push({ position, name: `${position}`, driveId: "", state: "online", reason: undefined, drive });
  }
  const group = new RaidGroup(members, geometry.level, {
    onMemberLost: async (member) => {
      lost.push(member.name);
    },
    onNoSpace: () => Promise.resolve(),
  });
  const map = new PoolMap(new MetadataStore(group), geometry, 64);
  await map.format();
  const staging = new Staging(global.layout.staging[0]!, geometry);
  const uncommitted = new Uint32Array(geometry.zoneSlots);
  const stripesMax = staging.batchStripes;
  const appender = new ZoneAppender({
    ...{ global, geometry, group, map, stripesMax, uncommitted },
    freeZone: options.freeZone ?? (() => Promise.resolve()),
    mayTakeZone: options.mayTakeZone ?? (() => true),
    zonesArePlenty: () => options.zonesArePlenty ?? false,
    breathe: () => turns(1),
  });
  let nextBlock = 0;
  const batchOf = (blocks: number): StripeBatch => {
    const batch = new StripeBatch(Math.max(1, blocks));
    for (let n = 0; n < blocks; n++) {
      const block = nextBlock++;
      const source = global.layout.frames + (block % 256) * FRAME_BYTES;
      const content = new Uint8Array(FRAME_BYTES).fill(block + 1);
      global.u8.set(content, source);
      batch.add({ volume: VOLUME, block, crc: dataChecksum(content), source, frame: -1, from: 0 });
    }
    return batch;
  };
  const append = async (batch: StripeBatch, copied?: () => void): Promise<void> => {
    const base = await staging.batches.take();
    await appender.append(batch, base, copied);
    staging.batches.give(base);
  };
  /** Whether each block of the batch is, whole, on the drive where `place` says. */
  const isThere = async (batch: StripeBatch): Promise<boolean> => {
    const address = await staging.strips.take();
    let whole = true;
    for (let n = 0; n < batch.count; n++) {
      const { slot, stripe, column, index } = decodePlace(geometry, batch.place[n]!);
      const zone = map.zones.zone[slot]!;
      const drive = members[geometry.level.positionOf(stripe, column, 0)]!.drive!;
      await drive.readStrips({ zone, firstStrip: stripe, count: 1, address, strideBytes: stripBytes });
      whole &&= blockMatches(global, address, geometry.shape, index, { volume: VOLUME, block: batch.block[n]!, zone });
    }
    staging.strips.give(address);
    return whole;
  };
  const zoneCalls = (operation: DriveOperation) => calls.filter((call) => call.operation === operation).map(({ zone }) => zone);
  return { appender, append, batchOf, isThere, map, uncommitted, group, gate, calls, zoneCalls, faults, lost };
}

const ZONE_BLOCKS = stripesPerZone * blocksPerStripe;

describe("ZoneAppender: no free zone", () => {
  test("who wants the stream without a zone does not wait behind who waits for a free one (invariant 6)", async () => {
    let isFree = true;
    const waiters: (() => void)[] = [];
    const { append, appender, batchOf, isThere, zoneCalls } = await rig({
      freeZone: () => (isFree ? Promise.resolve() : new Promise((resolve) => waiters.push(resolve))),
      mayTakeZone: () => isFree,
    });
    await append(batchOf(ZONE_BLOCKS));
    isFree = false;
    const batch = batchOf(1);
    const appended = append(batch);
    await until(() => waiters.length > 0);
    // Whoever makes room asks for this.
    await appender.closed(() => Promise.resolve());
    expect(zoneCalls("finishZone")).toHaveLength(geometry.driveCount);
    isFree = true;
    for (const go of waiters) go();
    await appended;
    expect(await isThere(batch)).toBe(true);
  });

  test("of two batches that wait for a zone the one has what the other leaves of it", async () => {
    let isFree = true;
    const waiters: (() => void)[] = [];
    const { append, batchOf, isThere } = await rig({
      freeZone: () => (isFree ? Promise.resolve() : new Promise((resolve) => waiters.push(resolve))),
      mayTakeZone: () => isFree,
    });
    await append(batchOf(ZONE_BLOCKS));
    isFree = false;
    const batches = [batchOf(1), batchOf(1)];
    const appended = batches.map((batch) => append(batch));
    await until(() => waiters.length === 2);
    isFree = true;
    // Only one of them is told.
    waiters[0]!();
    await Promise.all(appended);
    for (const batch of batches) expect(await isThere(batch)).toBe(true);
  });
});

describe("ZoneAppender: stripes", () => {
  test("blocks are where `place` says, in one zone and over the end of it", async () => {
    const { append, batchOf, isThere, map } = await rig();
    const batches = [batchOf(5), batchOf(1), batchOf(ZONE_BLOCKS)];
    for (const batch of batches) await append(batch);
    for (const batch of batches) expect(await isThere(batch)).toBe(true);
    expect(map.zones.count(ZONE_STATE.free)).toBe(geometry.zoneSlots - 2);
  });

  test("strips of a zone rise on every drive, though batches are put together side by side (invariant 1)", async () => {
    const { append, batchOf, isThere, group } = await rig();
    // The first takes the most turns to put together; a drive refuses what comes after a later strip.
    const batches = [batchOf(4 * blocksPerStripe), batchOf(1), batchOf(2 * blocksPerStripe)];
    await Promise.all(batches.map((batch) => append(batch)));
    expect(group.state).toBe("optimal");
    for (const batch of batches) expect(await isThere(batch)).toBe(true);
    const places = batches.flatMap((batch) => [...batch.place.subarray(0, batch.count)]);
    expect(new Set(places).size).toBe(places.length);
  });

  test("tells when the sources are free before the drives have answered, and ends when all have (invariant 5)", async () => {
    const { append, batchOf, gate } = await rig();
    gate.close("writeStrips");
    let copied = false;
    let ended = false;
    const appended = append(batchOf(3 * blocksPerStripe), () => {
      copied = true;
    }).then(() => {
      ended = true;
    });
    await until(() => copied);
    await turns(20);
    expect(gate.waiting("writeStrips")).toBe(geometry.driveCount);
    expect(ended).toBe(false);
    gate.open("writeStrips");
    await appended;
  });

  test("goes on without a drive that failed, once that is on record", async () => {
    const { append, batchOf, faults, lost, group } = await rig();
    faults.fail = 1;
    await append(batchOf(2));
    expect(lost).toEqual(["1"]);
    expect(group.state).toBe("degraded");
    faults.fail = 2;
    await expect(append(batchOf(2))).rejects.toThrow(/2 drives are lost/);
  });
});

describe("ZoneAppender: zones", () => {
  test("a zone is in the map's log before any drive makes it (invariant 2)", async () => {
    const { append, batchOf, calls } = await rig();
    await append(batchOf(1));
    const logged = calls.findLastIndex(({ operation }) => operation === "metadataBatch");
    const made = calls.findIndex(({ operation }) => operation === "createZone");
    expect(logged).toBeGreaterThanOrEqual(0);
    expect(made).toBeGreaterThan(logged);
  });

  test("a zone with stripes whose map entries are to come is known as such (invariant 3)", async () => {
    const { append, appender, batchOf, uncommitted } = await rig();
    const batch = batchOf(ZONE_BLOCKS + 1);
    await append(batch);
    expect([uncommitted[0], uncommitted[1]]).toEqual([1, 1]);
    appender.committed(batch);
    expect(uncommitted.every((runs) => runs === 0)).toBe(true);
    appender.committed(batch);
    expect(uncommitted.every((runs) => runs === 0)).toBe(true);
  });

  test("a full zone is finished beside the writes to the next, and not two at a time (invariant 4)", async () => {
    const { append, batchOf, gate, map } = await rig();
    gate.close("finishZone");
    await append(batchOf(ZONE_BLOCKS));
    await append(batchOf(ZONE_BLOCKS));
    await until(() => gate.waiting("finishZone") === geometry.driveCount);
    expect(map.zones.state[0]).toBe(ZONE_STATE.open);
    let third = false;
    const appended = append(batchOf(1)).then(() => {
      third = true;
    });
    await turns(50);
    expect(third).toBe(false);
    expect(gate.waiting("finishZone")).toBe(geometry.driveCount);
    gate.letThrough("finishZone");
    await appended;
    expect(map.zones.state[0]).toBe(ZONE_STATE.sealed);
    expect(map.zones.stripes[0]).toBe(stripesPerZone);
    gate.open("finishZone");
    await until(() => map.zones.state[1] === ZONE_STATE.sealed);
  });

  test("a zone is not finished while a write to it is under way", async () => {
    const { append, batchOf, gate, zoneCalls } = await rig();
    gate.close("writeStrips");
    const first = append(batchOf(ZONE_BLOCKS));
    await until(() => gate.waiting("writeStrips") === geometry.driveCount);
    const second = append(batchOf(1));
    await turns(50);
    expect(zoneCalls("finishZone")).toEqual([]);
    gate.open("writeStrips");
    await Promise.all([first, second]);
    await until(() => zoneCalls("finishZone").length === geometry.driveCount);
  });

  test("the next zone is made ahead when zones are plenty, and only then", async () => {
    const almost = ZONE_BLOCKS - blocksPerStripe;
    const short = await rig();
    await short.append(short.batchOf(almost));
    await turns(50);
    expect(new Set(short.zoneCalls("createZone"))).toEqual(new Set([1]));
    const plenty = await rig({ zonesArePlenty: true });
    await plenty.append(plenty.batchOf(almost));
    await until(() => plenty.zoneCalls("createZone").length === 2 * geometry.driveCount);
    await plenty.append(plenty.batchOf(2 * blocksPerStripe));
    await turns(50);
    expect(new Set(plenty.zoneCalls("createZone"))).toEqual(new Set([1, 2]));
    expect(new Set(plenty.zoneCalls("writeStrips"))).toEqual(new Set([1, 2]));
  });
});
