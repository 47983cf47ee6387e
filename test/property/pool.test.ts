/**
 * A pool against a plain array of bytes: any sequence of writes, reads, zeros, destage, kills, power losses and lost
 * drives leaves what was acknowledged, and nothing else.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { raidLevel } from "../../src/raid/raid-levels.ts";
import { BLOCK_STATUS } from "../../src/volume/block-io.ts";
import { POOL_COUNT } from "../../src/volume/pool-counters.ts";
import {
  flush,
  MemoryPoolMedia,
  type MemoryPoolShape,
  type OpenedPool,
  openMemoryPool,
  readBytes,
  SMALL_POOL,
  volumeDocument,
  writeBytes,
  zeroBytes,
} from "../support/memory-pool.ts";
import { RAID_POOLS } from "../support/raid-pools.ts";

const SECTOR = 512;
const VOLUME_BLOCKS = 1500;
const VOLUME_BYTES = VOLUME_BLOCKS * 4096;
const SECTORS = VOLUME_BYTES / SECTOR;

type Step =
  | { kind: "write"; sector: number; sectors: number; seed: number; fua: boolean }
  | { kind: "read"; sector: number; sectors: number }
  | { kind: "zero"; sector: number; sectors: number }
  | { kind: "burst"; seed: number; count: number }
  | { kind: "destage" }
  | { kind: "flush" }
  | { kind: "kill" }
  | { kind: "powerLoss" }
  | { kind: "loseDrive"; position: number };

const range = fc
  .tuple(fc.integer({ min: 0, max: SECTORS - 1 }), fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(8, 64, 256, 1000)))
  .map(([sector, sectors]) => ({ sector, sectors: Math.min(sectors, SECTORS - sector) }));
const blockRange = range.map(({ sector, sectors }) => {
  const start = sector - (sector % 8);
  return { sector: start, sectors: Math.min(Math.ceil(sectors / 8) * 8, SECTORS - start) };
});
const seed = fc.integer({ min: 1, max: 0x7fffffff });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({ kind: fc.constant("write" as const), at: fc.oneof(range, blockRange), seed, fua: fc.boolean() })
      .map(({ at, ...rest }) => ({ ...rest, ...at })),
  },
  { weight: 4, arbitrary: range.map((at) => ({ kind: "read" as const, ...at })) },
  { weight: 2, arbitrary: fc.oneof(range, blockRange).map((at) => ({ kind: "zero" as const, ...at })) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("burst" as const),
      seed,
      count: fc.oneof(fc.integer({ min: 10, max: 300 }), fc.constant(900)),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "destage" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "flush" as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: "kill" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "powerLoss" as const }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 239 }).map((position) => ({ kind: "loseDrive" as const, position })) },
);

function fill(target: Uint8Array, seedValue: number): void {
  let x = seedValue;
  for (let n = 0; n < target.length; n += 4) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    target[n] = x;
    target[n + 1] = x >>> 8;
    target[n + 2] = x >>> 16;
    target[n + 3] = x >>> 24;
  }
}

/** What the runs came across: a property that never meets compaction says nothing of it. */
const seen = {
  compactedZones: 0,
  partialBlocks: 0,
  superseded: 0,
  degradedReads: 0,
  killsInDestage: 0,
  killsInCompaction: 0,
  secondLosses: 0,
};

class Run {
  readonly media: MemoryPoolMedia;
  readonly model = new Uint8Array(VOLUME_BYTES);
  pool!: OpenedPool;
  readonly lost: number[] = [];

  constructor(shape: MemoryPoolShape) {
    this.media = new MemoryPoolMedia(shape);
  }

  async start(): Promise<void> {
    this.pool = await openMemoryPool(this.media);
    await this.pool.service.createVolume(0, volumeDocument(1, VOLUME_BYTES));
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case "write":
        return this.write(step.sector, step.sectors, step.seed, step.fua);
      case "read":
        return this.read(step.sector, step.sectors);
      case "zero":
        expect((await zeroBytes(this.pool, 1, step.sector * SECTOR, step.sectors * SECTOR)).status).toBe(BLOCK_STATUS.good);
        this.model.fill(0, step.sector * SECTOR, (step.sector + step.sectors) * SECTOR);
        return;
      case "burst":
        return this.burst(step.seed, step.count);
      case "destage":
        await this.pool.service.pool(0).destageAll();
        expect(this.pool.service.status()[0]!.dirtyBytes).toBe(0);
        return;
      case "flush":
        expect((await flush(this.pool, 1)).status).toBe(BLOCK_STATUS.good);
        return;
      case "kill":
        return this.reopen();
      case "powerLoss":
        // Only what was flushed is promised: so flush first, then lose the power.
        expect((await flush(this.pool, 1)).status).toBe(BLOCK_STATUS.good);
        this.pool.kill();
        this.media.journal!.powerLoss();
        return this.reopen();
      case "loseDrive":
        return this.loseDrive(step.position % this.media.drives.length);
    }
  }

  async write(sector: number, sectors: number, seedValue: number, fua: boolean): Promise<void> {
    const data = new Uint8Array(sectors * SECTOR);
    fill(data, seedValue);
    expect((await writeBytes(this.pool, 1, sector * SECTOR, data, fua)).status).toBe(BLOCK_STATUS.good);
    this.model.set(data, sector * SECTOR);
  }

  /** One that the level can do without; a pool that has lost what it can lose is left with that. */
  async loseDrive(position: number): Promise<void> {
    const lost = [...this.lost, position];
    if (this.lost.includes(position) || !raidLevel(this.media.shape).survives(lost)) return;
    this.lost.push(position);
    if (this.lost.length > 1) seen.secondLosses += 1;
    this.pool.kill();
    this.media.drives[position] = undefined;
    await this.reopen();
  }

  /** Many blocks at once, so that several are in one record, in destage, and overwritten meanwhile. */
  async burst(seedValue: number, count: number): Promise<void> {
    const done: Promise<unknown>[] = [];
    for (let n = 0; n < count; n++) {
      const block = Math.imul(seedValue + n, 2654435761) >>> 0;
      const offset = (block % VOLUME_BLOCKS) * 4096;
      const data = new Uint8Array(4096);
      fill(data, seedValue + n);
      // One turn for each, so that the later of two writes to a block is the later one.
      this.model.set(data, offset);
      done.push(writeBytes(this.pool, 1, offset, data));
    }
    await Promise.all(done);
  }

  async read(sector: number, sectors: number): Promise<void> {
    const { status, data } = await this.readWithRoom(sector, sectors);
    expect(status).toBe(BLOCK_STATUS.good);
    const expected = this.model.subarray(sector * SECTOR, (sector + sectors) * SECTOR);
    const difference = data.findIndex((byte, n) => byte !== expected[n]);
    expect(difference, `first wrong byte of sectors ${sector} + ${sectors}`).toBe(-1);
  }

  /** As a host does after TASK SET FULL: right after recovery almost all of this little memory may be dirty, until it is destaged. */
  async readWithRoom(sector: number, sectors: number): ReturnType<typeof readBytes> {
    for (let attempt = 1; ; attempt++) {
      const answer = await readBytes(this.pool, 1, sector * SECTOR, sectors * SECTOR);
      if (answer.status !== BLOCK_STATUS.noMemory || attempt === READ_ATTEMPTS_MAX) return answer;
      await this.pool.service.pool(0).destageAll();
    }
  }

  async reopen(): Promise<void> {
    const counters = this.pool.service.pool(0).parts.counters;
    seen.compactedZones += counters[POOL_COUNT.compactedZones]!;
    seen.partialBlocks += counters[POOL_COUNT.partialBlocks]!;
    seen.superseded += counters[POOL_COUNT.destagedSupersededBlocks]!;
    seen.degradedReads += counters[POOL_COUNT.rebuiltReads]!;
    if (counters[POOL_COUNT.destageBatchesActive]! > 0) seen.killsInDestage += 1;
    if (counters[POOL_COUNT.compactionActive]! > 0) seen.killsInCompaction += 1;
    this.pool.kill();
    this.pool = await openMemoryPool(this.media);
  }

  async readAll(): Promise<void> {
    for (let sector = 0; sector < SECTORS; sector += 1000) await this.read(sector, Math.min(1000, SECTORS - sector));
    this.pool.frames.checkCounts();
  }
}

const READ_ATTEMPTS_MAX = 3;
const RUNS = Number(process.env["VARRAY_TEST_RUNS"] ?? 16);
const RUNS_OF_A_LEVEL = Math.ceil(RUNS / 8);

const LOSSES: readonly Step[] = [0, 2, 4].flatMap((position) => [
  { kind: "burst", seed: position, count: 200 },
  { kind: "loseDrive", position },
  { kind: "read", sector: 0, sectors: 1000 },
]);

async function isPlainArray(shape: MemoryPoolShape, runs: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(step, { minLength: 5, maxLength: 60 }), async (prefilled, steps) => {
      const run = new Run(shape);
      await run.start();
      // A pool that is nearly full compacts all the time.
      if (prefilled) for (let sector = 0; sector < SECTORS; sector += 1000) await run.write(sector, 1000, sector + 1, false);
      for (const next of steps) await run.step(next);
      await run.readAll();
      await run.reopen();
      await run.readAll();
      await run.pool.service.pool(0).destageAll();
      await run.reopen();
      await run.readAll();
      run.pool.kill();
    }),
    // As many drives as the level can do without, one after the other: chance alone may never lose a second one.
    { numRuns: runs + 1, examples: [[true, [...LOSSES]]] },
  );
}

describe("pool: whole, over memory drives", () => {
  test("reads again once it is destaged where recovery left hardly a frame that is not dirty", async () => {
    const run = new Run(RAID_POOLS.find(([label]) => label === "RAID-6 4+2")![1]);
    await run.start();
    for (let sector = 0; sector < SECTORS; sector += 1000) await run.write(sector, 1000, sector + 1, false);
    await run.pool.service.pool(0).destageAll();
    await run.write(0, 1000, 1, false);
    await run.burst(1, 900);
    await run.write(225, 1000, 1, false);
    await run.step({ kind: "powerLoss" });
    await run.readAll();
    run.pool.kill();
  });

  test("is a plain array of bytes, through kills, power losses and one lost drive", { timeout: 300_000 }, () =>
    isPlainArray(SMALL_POOL, RUNS),
  );

  test.each(RAID_POOLS)("the same of %s, with as many drives lost as it survives", { timeout: 300_000 }, (_, shape) =>
    isPlainArray(shape, RUNS_OF_A_LEVEL),
  );

  test("the runs came across what they are about", () => {
    for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(0);
  });
});
