import { describe, expect, test } from "vitest";
import { type Drive, DriveError, type StripRead, type StripWrite } from "../../../drivers/drive/drive.ts";
import type { GlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import { type BulkWork, inlineBulkWork } from "../../../src/raid/bulk-work.ts";
import type { StripesJob } from "../../../src/raid/stripes-job.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { interceptDrive, lateAnswer, turns, until } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  readBytes,
  SMALL_POOL,
  unreachable,
  volumeDocument,
  writeBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;
const BLOCKS = 600;
/** Of RAID-5 3+1: the first spare. */
const SPARE = 4;

type Around = (operation: string, parameters: readonly unknown[], run: () => Promise<unknown>) => Promise<unknown>;

/** A pool with a spare, some zones of data, and what is done to the operations of single drives. */
class Bench {
  readonly media = new MemoryPoolMedia({ ...SMALL_POOL, zoneSlots: 40, spareCount: 1 });
  readonly pulled = new Set<number>();
  readonly around = new Map<number, Around>();
  /** By zone: first stripes of what was made in bulk. */
  readonly reconstructed = new Map<number, number[]>();
  readonly verified = new Map<number, number[]>();
  pool!: OpenedPool;

  async fill(): Promise<void> {
    this.media.wrap = (drive: Drive, position) =>
      interceptDrive(drive, async (operation, parameters, run) => {
        if (this.pulled.has(position) && operation !== "close") throw unreachable(drive.name);
        const around = this.around.get(position);
        return around === undefined ? run() : around(operation, parameters, run);
      });
    this.pool = await openMemoryPool(this.media, { hurry: 50, bulk: (global) => this.#counted(global) });
    await this.pool.service.createVolume(0, volumeDocument(1, 4000 * BLOCK));
    await writeBytes(this.pool, 1, 0, content());
    await this.pool.service.pool(0).destageAll();
  }

  #counted(global: GlobalMemory): BulkWork {
    const inline = inlineBulkWork(global);
    return {
      reconstruct: (job) => {
        note(this.reconstructed, job);
        return inline.reconstruct(job);
      },
      verify: (job) => {
        note(this.verified, job);
        return inline.verify(job);
      },
    };
  }

  get parts() {
    return this.pool.service.pool(0).parts;
  }

  /** Takes drive 01 away, so that the spare is built. */
  async loseOne(): Promise<void> {
    this.pulled.add(1);
    await writeBytes(this.pool, 1, 0, content().subarray(0, BLOCK));
    await this.pool.service.pool(0).destageAll();
  }

  async healed(): Promise<void> {
    const { record, healing } = this.pool.service.pool(0);
    // Waits that are of seconds, hurried, are of many turns all the same.
    await until(() => record.document.members.every(({ state }) => state === "online") && !healing.isBusy, 1_000_000);
  }

  /** Everything is there without drive 00 too: so what the spare has is right. */
  async expectContent(): Promise<void> {
    this.pulled.add(0);
    this.parts.cache.removeRange(1, 0, 4000);
    const { status, data } = await readBytes(this.pool, 1, 0, BLOCKS * BLOCK);
    expect(status).toBe(BLOCK_STATUS.good);
    expect(Buffer.compare(data, content())).toBe(0);
  }
}

function content(): Uint8Array {
  return new Uint8Array(BLOCKS * BLOCK).map((_, n) => (n * 31 + (n >> 12) * 7) & 0xff);
}

describe("a zone of a drive that is rebuilt", () => {
  test("a stripe that another drive lacks is not made together with those that it has: what lies in the region is not of it", async () => {
    const bench = new Bench();
    await bench.fill();
    const { zones } = bench.media.drives[0]!;
    const [zone] = zones.keys();
    zones.get(zone!)!.strips.delete(5);
    await bench.loseOne();
    await until(() => bench.reconstructed.get(zone!)?.includes(6) === true, 1_000_000);
    expect(bench.reconstructed.get(zone!)).toEqual(expect.arrayContaining([0, 5, 6]));
    bench.pool.kill();
  });

  test("is read and made ahead while it is written, one write at a time, in rising order", async () => {
    const bench = new Bench();
    await bench.fill();
    const ends = new Map<number, number>();
    let writing = 0;
    let ahead = 0;
    bench.around.set(SPARE, async (operation, parameters, run) => {
      if (operation !== "writeStrips" || bench.parts.group.members[1]!.state !== "rebuilding") return run();
      const { zone, firstStrip, count } = parameters[0] as StripWrite;
      expect(writing).toBe(0);
      expect(firstStrip).toBeGreaterThanOrEqual(ends.get(zone) ?? 0);
      writing += 1;
      const { zones } = bench.parts.map;
      const isLong = zones.stripes[zones.zone.indexOf(zone)]! === SMALL_POOL.stripesPerZone;
      if (isLong && !ends.has(zone)) {
        // The other run of the zone is made meanwhile, or never.
        await until(() => bench.reconstructed.get(zone)!.length === 2, 1000);
        ahead += 1;
      }
      ends.set(zone, firstStrip + count);
      await turns(5);
      writing -= 1;
      return run();
    });
    await bench.loseOne();
    await bench.healed();
    expect(ahead).toBeGreaterThan(1);
    // Nothing is made but there, and nothing is taken for good because a drive gave it.
    expect([...bench.reconstructed.keys()]).toEqual([...ends.keys()]);
    expect(bench.verified.size).toBe(0);
    await bench.expectContent();
    bench.pool.kill();
  });

  test("is copied from a suspect with every strip checked in bulk, and computed where the suspect's is bad", async () => {
    const bench = new Bench();
    await bench.fill();
    const [zone] = [...bench.media.drives[2]!.zones].find(([, { strips }]) => strips.size > 4)!;
    bench.media.drives[2]!.zones.get(zone)!.strips.get(3)![100]! ^= 1;
    bench.parts.group.members[2]!.state = "predictive";
    await until(() => bench.parts.group.members[2]!.name === "04");
    await bench.healed();
    expect([...bench.verified.keys()]).toContain(zone);
    expect(bench.reconstructed.size).toBe(0);
    await bench.expectContent();
    bench.pool.kill();
  });

  test("has every block of a suspect's bad strip that the suspect, or the rest of the stripe, has", async () => {
    const bench = new Bench();
    await bench.fill();
    const { geometry, group } = bench.parts;
    const { drives } = bench.media;
    const [zone] = [...drives[2]!.zones].find(([, { strips }]) => strips.size > 4)!;
    const stripe = [0, 1, 2, 3].find((n) => geometry.level.role(n, 2) >= 0 && geometry.level.role(n, 1) >= 0)!;
    // Different blocks: each can be had.
    drives[2]!.zones.get(zone)!.strips.get(stripe)![100]! ^= 1;
    const neighbour = drives[1]!.zones.get(zone)!.strips.get(stripe)!;
    neighbour[3 * BLOCK + 100]! ^= 1;
    group.members[2]!.state = "predictive";
    await until(() => group.members[2]!.name === "04");
    await bench.healed();
    neighbour[3 * BLOCK + 100]! ^= 1;
    await bench.expectContent();
    bench.pool.kill();
  });

  test("is not written further after a write that failed", async () => {
    const bench = new Bench();
    await bench.fill();
    let writes = 0;
    bench.around.set(SPARE, async (operation, _parameters, run) => {
      if (operation !== "writeStrips" || bench.parts.group.members[1]!.state !== "rebuilding") return run();
      writes += 1;
      await turns(50);
      throw new DriveError("writeFailed", "04", "the disk errs");
    });
    await bench.loseOne();
    await until(() => bench.parts.group.members[1]!.state === "failed");
    await turns(200);
    expect(writes).toBe(1);
    expect(bench.parts.staging.batches.isIdle).toBe(true);
    expect(bench.parts.health.reason).toBeUndefined();
    bench.pool.kill();
  });

  test("waits for room below the drive with its first write, and then goes on behind it", async () => {
    const bench = new Bench();
    await bench.fill();
    const firsts: number[] = [];
    bench.around.set(SPARE, async (operation, parameters, run) => {
      if (operation !== "writeStrips" || bench.parts.group.members[1]!.state !== "rebuilding") return run();
      firsts.push((parameters[0] as StripWrite).firstStrip);
      if (firsts.length < 3) throw new DriveError("noSpace", "04", "the disk is full");
      return run();
    });
    await bench.loseOne();
    await bench.healed();
    expect(firsts.slice(0, 3)).toEqual([firsts[0], firsts[0], firsts[0]]);
    await bench.expectContent();
    bench.pool.kill();
  });

  test("is made in memory that no late read can still write to", async () => {
    const bench = new Bench();
    await bench.fill();
    // The suspect answers too late, and what it brings comes when its strips were made of the others.
    const late: StripRead[] = [];
    const { error, land } = lateAnswer("02");
    bench.around.set(2, async (operation, parameters, run) => {
      const read = parameters[0] as StripRead;
      if (operation !== "readStrips" || late.length > 0 || read.count < 2) return run();
      late.push(read);
      throw error;
    });
    bench.around.set(SPARE, async (operation, _parameters, run) => {
      if (operation === "writeStrips")
        for (const { address, strideBytes } of late) bench.pool.global.u8.fill(0x5a, address, address + strideBytes);
      return run();
    });
    bench.parts.group.members[2]!.state = "predictive";
    await until(() => bench.parts.group.members[2]!.name === "04");
    await bench.healed();
    expect(late.length).toBe(1);
    expect(bench.parts.staging.batches.isIdle).toBe(false);
    land();
    await turns(5);
    expect(bench.parts.staging.batches.isIdle).toBe(true);
    await bench.expectContent();
    bench.pool.kill();
  });
});

function note(made: Map<number, number[]>, { zone, firstStripe }: StripesJob): void {
  made.set(zone, [...(made.get(zone) ?? []), firstStripe]);
}
