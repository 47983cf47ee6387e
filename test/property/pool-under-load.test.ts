/**
 * A pool while many requests are under way at once, killed at any moment: what was acknowledged is there, what a host has
 * read is there, and what a host reads is never older than what it could know of (architecture, invariants 1, 4 and 5).
 *
 * Every sector carries the number of the request that wrote it. Requests are numbered in the order in which the pool got
 * them, which is the order in which it applies them, so for each sector the numbers that may be found are a range.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BLOCK_BYTES, BLOCK_STATUS, BlockIo } from "../../src/volume/block-io.ts";
import { POOL_COUNT } from "../../src/volume/pool-counters.ts";
import { turns } from "../support/gated-drive.ts";
import { MemoryPoolMedia, type OpenedPool, openMemoryPool, readBytes, volumeDocument } from "../support/memory-pool.ts";
import { Random } from "../support/random.ts";

const SECTOR = 512;
/** Few, so that requests meet; and so many that the pool is never full, where a write may wait and be overtaken. */
const VOLUME_BLOCKS = 300;
const SECTORS = VOLUME_BLOCKS * 8;
const REQUESTS_MAX = 250;
const READ_SECTORS = 800;

/** How often what this is about came up. */
const seen = { readsDuringWrites: 0, killsDuringWrites: 0, unacknowledgedLost: 0, destagedBlocks: 0, powerLosses: 0 };

interface Request {
  readonly number: number;
  /** It left zeros, which say nothing of who wrote them. */
  readonly zero: boolean;
}

class Load {
  readonly media = new MemoryPoolMedia();
  readonly random: Random;
  readonly broken: string[] = [];
  pool!: OpenedPool;
  /** Raised by each kill: what was asked for in an earlier life is answered no more. */
  #life = 0;
  #requests = 0;
  readonly #unanswered = new Set<number>();
  /** By sector: what the life began with, and the requests of this life, in their order. */
  readonly #history: Request[][] = Array.from({ length: SECTORS }, () => [{ number: 0, zero: true }]);
  /** By sector: the oldest that may be found now, and after a power loss. */
  readonly #least = new Float64Array(SECTORS);
  readonly #leastDurable = new Float64Array(SECTORS);

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  async run(): Promise<void> {
    this.pool = await openMemoryPool(this.media);
    await this.pool.service.createVolume(0, volumeDocument(1, VOLUME_BLOCKS * BLOCK_BYTES));
    for (const end of ["kill", "kill", "power", "kill"] as const) {
      await this.#live();
      await this.#dieAndOpen(end);
    }
    this.pool.frames.checkCounts();
    this.pool.kill();
  }

  async #live(): Promise<void> {
    const { random } = this;
    for (let n = random.between(20, REQUESTS_MAX); n > 0; n--) {
      const dice = random.next();
      if (dice < 0.5) this.#write();
      else if (dice < 0.56) this.#zero();
      else if (dice < 0.6) this.#flush();
      else void this.#read();
      if (random.chance(0.02)) void this.pool.service.pool(0).destageAll();
      // Often several in one turn, so that they are in one record.
      if (random.chance(0.3)) await turns(random.between(1, 3));
    }
  }

  async #dieAndOpen(end: "kill" | "power"): Promise<void> {
    seen.destagedBlocks += this.pool.service.pool(0).parts.counters[POOL_COUNT.destagedBlocks]!;
    if (this.#unanswered.size > 0) seen.killsDuringWrites += 1;
    this.pool.kill();
    this.#life += 1;
    if (end === "power") {
      seen.powerLosses += 1;
      this.media.journal!.powerLoss(() => this.random.chance(0.5));
    }
    this.pool = await openMemoryPool(this.media);
    const promised = end === "power" ? this.#leastDurable : this.#least;
    for (let from = 0; from < SECTORS; from += READ_SECTORS) {
      const { data } = await readBytes(this.pool, 1, from * SECTOR, READ_SECTORS * SECTOR);
      for (let n = 0; n < READ_SECTORS; n++) {
        const sector = from + n;
        const found = this.#judge(data, n * SECTOR, sector, promised[sector]!);
        if (this.#history[sector]!.some(({ number }) => number > found.number && this.#unanswered.has(number)))
          seen.unacknowledgedLost += 1;
        this.#history[sector] = [found];
        this.#least[sector] = found.number;
      }
    }
    this.#unanswered.clear();
  }

  #write(): void {
    const { random, pool } = this;
    const sector = random.between(0, SECTORS - 1);
    const [align, most] = random.chance(0.5) ? [8, 64] : random.chance(0.5) ? [1, 12] : [8, 800];
    const start = sector - (sector % align);
    const sectors = Math.min(SECTORS - start, align * random.between(1, most / align));
    const first = Math.floor(start / 8);
    const count = Math.floor((start + sectors - 1) / 8) - first + 1;
    const io = new BlockIo(() => undefined);
    if (io.run.frames.length < count) io.run.frames = new Int32Array(count);
    // A write that waits for frames would not come in the order of its number.
    if (!pool.frames.tryTake(count, io.run.frames, 0)) return;
    io.forceUnitAccess = random.chance(0.1);
    const number = this.#begin(io, { start, sectors, zero: false });
    io.run.frameCount = count;
    io.run.phase = io.offsetBytes % BLOCK_BYTES;
    io.run.bytes = io.bytes;
    for (let n = 0; n < count; n++) {
      const view = pool.frames.view(io.run.frames[n]!).fill(0xee);
      for (let k = 0; k < 8; k++) {
        const at = (first + n) * 8 + k;
        if (at >= start && at < start + sectors) stamp(view, k * SECTOR, number, at);
      }
    }
    pool.service.write(io);
  }

  #zero(): void {
    const block = this.random.between(0, VOLUME_BLOCKS - 1);
    const blocks = Math.min(VOLUME_BLOCKS - block, this.random.between(1, 60));
    const io = new BlockIo(() => undefined);
    this.#begin(io, { start: block * 8, sectors: blocks * 8, zero: true });
    this.pool.service.zero(io);
  }

  /** Covers what was acknowledged, or read, before it was asked for. */
  #flush(): void {
    const life = this.#life;
    const covered = this.#least.slice();
    const io = new BlockIo(({ status }) => {
      if (life !== this.#life) return;
      this.#require(status === BLOCK_STATUS.good, "a flush failed");
      covered.forEach((number, sector) => {
        this.#leastDurable[sector] = Math.max(this.#leastDurable[sector]!, number);
      });
    });
    io.volume = 1;
    this.pool.service.flush(io);
  }

  async #read(): Promise<void> {
    const { random } = this;
    const life = this.#life;
    const start = random.between(0, SECTORS - 1);
    const sectors = Math.min(SECTORS - start, random.between(1, random.chance(0.2) ? 400 : 24));
    const known = this.#least.slice(start, start + sectors);
    if (this.#unanswered.size > 0) seen.readsDuringWrites += 1;
    const { status, data } = await readBytes(this.pool, 1, start * SECTOR, sectors * SECTOR);
    if (life !== this.#life) return;
    this.#require(status === BLOCK_STATUS.good, "a read failed");
    for (let n = 0; n < sectors; n++) {
      const { number } = this.#judge(data, n * SECTOR, start + n, known[n]!);
      // What a host has read stays.
      this.#least[start + n] = Math.max(this.#least[start + n]!, number);
    }
  }

  #begin(io: BlockIo, { start, sectors, zero }: { start: number; sectors: number; zero: boolean }): number {
    this.#requests += 1;
    const request = { number: this.#requests, zero };
    this.#unanswered.add(request.number);
    for (let sector = start; sector < start + sectors; sector++) this.#history[sector]!.push(request);
    io.volume = 1;
    io.offsetBytes = start * SECTOR;
    io.bytes = sectors * SECTOR;
    const life = this.#life;
    io.done = ({ status, forceUnitAccess }) => {
      if (life !== this.#life) return;
      this.#require(status === BLOCK_STATUS.good, "a write failed");
      this.#unanswered.delete(request.number);
      for (let sector = start; sector < start + sectors; sector++) {
        this.#least[sector] = Math.max(this.#least[sector]!, request.number);
        if (forceUnitAccess) this.#leastDurable[sector] = Math.max(this.#leastDurable[sector]!, request.number);
      }
    };
    return request.number;
  }

  /** The request that left what is there; of zeros the oldest that may have. None before `least` may. */
  #judge(data: Buffer, at: number, sector: number, least: number): Request {
    const number = data.readUInt32LE(at);
    for (let n = 0; n < SECTOR; n += 16) {
      const whole = data.readUInt32LE(at + n) === number && data.readUInt32LE(at + n + 4) === (number === 0 ? 0 : sector);
      this.#require(whole, `sector ${sector} is of two requests, or foreign`);
    }
    const found = this.#history[sector]!.find(
      (request) => request.number >= least && (number === 0 ? request.zero : request.number === number),
    );
    this.#require(found !== undefined, `sector ${sector} is of request ${number}, but ${least} was acknowledged or read`);
    return found ?? { number: least, zero: number === 0 };
  }

  #require(holds: boolean, what: string): void {
    if (!holds) this.broken.push(what);
  }
}

function stamp(view: Buffer, at: number, number: number, sector: number): void {
  for (let n = 0; n < SECTOR; n += 16) {
    view.writeUInt32LE(number, at + n);
    view.writeUInt32LE(sector, at + n + 4);
  }
}

const RUNS = Number(process.env["VARRAY_TEST_RUNS"] ?? 25);

describe("pool: killed under load", () => {
  test("has what was acknowledged and what was read, and never shows less than a host knew", { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const load = new Load(seed);
        await load.run();
        expect(load.broken.slice(0, 5)).toEqual([]);
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
    for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(0);
  });
});
