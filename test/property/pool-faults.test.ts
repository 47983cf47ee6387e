/**
 * A pool against plain arrays of bytes while as many drives misbehave as it can do without: errors of its medium, lost and damaged strips, writes
 * without an answer, and its end. Several volumes; what was acknowledged stays, and no read returns anything else.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DriveError } from "../../drivers/drive/drive.ts";
import { raidLevel } from "../../src/raid/raid-levels.ts";
import { BLOCK_STATUS } from "../../src/volume/block-io.ts";
import { POOL_COUNT } from "../../src/volume/pool-counters.ts";
import { interceptDrive } from "../support/gated-drive.ts";
import {
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
const VOLUMES = [1, 2, 3];
const SECTORS = 400 * 8;

type Fault = "none" | "readErrors" | "writeFailed" | "unknown" | "unreachable";
type Step =
  | { kind: "write" | "read" | "zero"; volume: number; sector: number; sectors: number; seed: number }
  | { kind: "destage" }
  | { kind: "kill" }
  | { kind: "evict" }
  | { kind: "damage"; bits: number }
  | { kind: "fault"; fault: Fault; which: number };

const io = fc.record({
  kind: fc.constantFrom("write" as const, "write" as const, "read" as const, "zero" as const),
  volume: fc.constantFrom(...VOLUMES),
  sector: fc.nat({ max: SECTORS - 1 }),
  sectors: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.constantFrom(8, 64, 800)),
  seed: fc.integer({ min: 1, max: 255 }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 9, arbitrary: io },
  { weight: 2, arbitrary: fc.constantFrom<Step>({ kind: "destage" }, { kind: "evict" }, { kind: "kill" }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("damage" as const), bits: fc.integer({ min: 1, max: 1000 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("fault" as const),
      which: fc.nat({ max: 1 }),
      fault: fc.constantFrom<Fault>(
        "readErrors",
        "readErrors",
        "readErrors",
        "none",
        "none",
        "writeFailed",
        "unknown",
        "unreachable",
      ),
    }),
  },
);

const seen = { repaired: 0, rebuilt: 0, degraded: 0, lostDuringService: 0 };

class Run {
  readonly media: MemoryPoolMedia;
  readonly models = new Map(VOLUMES.map((volume) => [volume, new Uint8Array(SECTORS * SECTOR)]));
  /** Positions; each has a fault of its own. */
  readonly bad: readonly number[];
  readonly faults: Fault[];
  damaged = false;
  pool!: OpenedPool;
  #count = 0;

  constructor(shape: MemoryPoolShape, bad: readonly number[]) {
    this.media = new MemoryPoolMedia(shape);
    this.bad = bad;
    this.faults = bad.map(() => "none");
    this.media.wrap = (drive, position) => {
      const which = bad.indexOf(position);
      if (which < 0) return drive;
      return interceptDrive(drive, async (operation, _parameters, run) => {
        const fault = this.faults[which]!;
        const every = (n: number): boolean => this.#count++ % n === 0;
        if (fault === "unreachable") throw new DriveError("unreachable", drive.name, "gone");
        if (fault === "readErrors" && (operation === "readStrips" || operation === "readParts") && every(2))
          throw new DriveError("unrecoveredRead", drive.name, "EIO");
        const writes = operation === "writeStrips" || operation === "metadataBatch";
        if (fault === "writeFailed" && writes && every(5)) throw new DriveError("writeFailed", drive.name, "EIO");
        const result = await run();
        if (fault === "unknown" && writes && every(5)) throw new DriveError("unknown", drive.name, "no answer");
        return result;
      });
    };
  }

  async step(step: Step): Promise<void> {
    if (step.kind === "destage") return this.pool.service.pool(0).destageAll();
    if (step.kind === "evict") return void this.pool.service.pool(0).parts.cache.reclaim(10_000);
    if (step.kind === "kill") return this.reopen();
    if (step.kind === "fault") {
      this.faults[step.which % this.bad.length] = step.fault;
      return;
    }
    if (step.kind === "damage") {
      for (const position of this.bad) {
        for (const zone of this.media.drives[position]!.zones.values()) {
          for (const [n, strip] of zone.strips)
            strip[(step.bits * 7919 * (n + 1) + position * 4096) % strip.length]! ^= 1 << (step.bits % 8);
        }
      }
      return;
    }
    const { volume, sector } = step;
    const sectors = Math.min(step.sectors, SECTORS - sector);
    const model = this.models.get(volume)!;
    const [at, bytes] = [sector * SECTOR, sectors * SECTOR];
    if (step.kind === "write") {
      const data = new Uint8Array(bytes).map((_, n) => (step.seed * 31 + n * 7 + (n >> 9)) & 0xff);
      expect((await writeBytes(this.pool, volume, at, data)).status).toBe(BLOCK_STATUS.good);
      model.set(data, at);
    } else if (step.kind === "zero") {
      expect((await zeroBytes(this.pool, volume, at, bytes)).status).toBe(BLOCK_STATUS.good);
      model.fill(0, at, at + bytes);
    } else await this.read(volume, at, bytes);
  }

  async read(volume: number, at: number, bytes: number): Promise<void> {
    const { status, data } = await readBytes(this.pool, volume, at, bytes);
    expect(status).toBe(BLOCK_STATUS.good);
    expect(
      Buffer.compare(data, this.models.get(volume)!.subarray(at, at + bytes)),
      `volume ${volume}, ${bytes} bytes at ${at}`,
    ).toBe(0);
  }

  async open(): Promise<void> {
    this.pool = await openMemoryPool(this.media);
  }

  async reopen(): Promise<void> {
    const { counters, group } = this.pool.service.pool(0).parts;
    seen.repaired += counters[POOL_COUNT.repairedBlocks]!;
    seen.rebuilt += counters[POOL_COUNT.rebuiltReads]!;
    if (group.state === "degraded") seen.degraded += 1;
    if (this.pool.events.some((event) => event.type === "drive.failed" || event.type === "drive.missing"))
      seen.lostDuringService += 1;
    this.pool.kill();
    await this.open();
  }

  async readAll(): Promise<void> {
    for (const volume of VOLUMES) for (let at = 0; at < SECTORS; at += 800) await this.read(volume, at * SECTOR, 800 * SECTOR);
    this.pool.frames.checkCounts();
  }
}

const RUNS = Number(process.env["VARRAY_TEST_RUNS"] ?? 40);
const RUNS_OF_A_LEVEL = Math.ceil(RUNS / 8);

async function isPlainArrays(shape: MemoryPoolShape, runs: number): Promise<void> {
  const level = raidLevel(shape);
  const bad = fc
    .uniqueArray(fc.nat({ max: level.driveCount - 1 }), { minLength: 1, maxLength: 2 })
    .filter((positions) => level.survives(positions));
  await fc.assert(
    fc.asyncProperty(bad, fc.array(step, { minLength: 8, maxLength: 50 }), async (positions, steps) => {
      const run = new Run(shape, positions);
      await run.open();
      for (const volume of VOLUMES) await run.pool.service.createVolume(0, volumeDocument(volume, SECTORS * SECTOR));
      for (const next of steps) await run.step(next);
      await run.readAll();
      await run.pool.service.pool(0).destageAll();
      await run.step({ kind: "evict" });
      await run.readAll();
      await run.reopen();
      await run.readAll();
      run.pool.kill();
    }),
    { numRuns: runs },
  );
}

describe("pool: whole, with bad drives", () => {
  test("is plain arrays of bytes, whatever one drive does", { timeout: 300_000 }, () => isPlainArrays(SMALL_POOL, RUNS));

  test.each(RAID_POOLS)("the same of %s, whatever the drives do that it can do without", { timeout: 300_000 }, (_, shape) =>
    isPlainArrays(shape, RUNS_OF_A_LEVEL),
  );

  test("the runs came across what they are about", () => {
    for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(0);
  });
});
