import { describe, expect, test } from "vitest";
import { BackgroundPace, LANES } from "../../../src/volume/background-pace.ts";
import { POOL_COUNT } from "../../../src/volume/pool-counters.ts";
import type { PoolParts } from "../../../src/volume/pool-parts.ts";
import type { PoolRuntime } from "../../../src/volume/runtime.ts";

/** Milliseconds that pass only when everybody waits for them. */
class Time {
  now = 0;
  readonly #due: { readonly at: number; readonly go: () => void }[] = [];

  after(milliseconds: number): Promise<void> {
    return new Promise((go) => {
      this.#due.push({ at: this.now + milliseconds, go });
      this.#due.sort((a, b) => a.at - b.at);
    });
  }

  async run(milliseconds: number): Promise<void> {
    const end = this.now + milliseconds;
    for (;;) {
      for (let n = 0; n < 20; n++) await Promise.resolve();
      const next = this.#due[0];
      if (next === undefined || next.at > end) break;
      this.#due.shift();
      this.now = next.at;
      next.go();
    }
    this.now = end;
  }
}

/** Work of which a step takes so long, in lanes as rebuild and scrub have them. */
class Work {
  readonly time = new Time();
  readonly counters = new Float64Array(256);
  readonly pace: BackgroundPace;
  stepMilliseconds = 8;
  hostsEvery = 0;
  /** Timers come so much later than they were set for. */
  lateMilliseconds = 0;
  steps = 0;

  constructor(sharePercent: number) {
    const runtime = {
      nextTurn: (work: () => void) => void this.time.after(0).then(work),
      every: (milliseconds: number, work: () => void) => {
        void this.time.after(milliseconds + this.lateMilliseconds).then(work);
        return () => undefined;
      },
      nowMilliseconds: () => this.time.now,
    } as Partial<PoolRuntime> as PoolRuntime;
    this.pace = new BackgroundPace({ runtime, counters: this.counters } as Partial<PoolParts> as PoolParts, sharePercent);
    for (let lane = 0; lane < LANES; lane++) void this.#lane();
    void this.#hosts();
  }

  async #lane(): Promise<void> {
    for (;;) {
      const began = await this.pace.turn();
      await this.time.after(this.stepMilliseconds);
      this.steps += 1;
      this.pace.took(began);
    }
  }

  async #hosts(): Promise<void> {
    for (;;) {
      await this.time.after(this.hostsEvery > 0 ? this.hostsEvery : 10);
      if (this.hostsEvery > 0) this.counters[POOL_COUNT.writtenBlocks]! += 1;
    }
  }

  async rate(milliseconds: number): Promise<number> {
    const before = this.steps;
    await this.time.run(milliseconds);
    return (this.steps - before) / milliseconds;
  }
}

describe("the pace of work in the background", () => {
  test("is all that there is while hosts are quiet", async () => {
    const work = new Work(10);
    expect(await work.rate(10_000)).toBeCloseTo(LANES / 8, 2);
  });

  test.each([1, 10, 30, 60, 100])(
    "is a share of %i percent of that while they are not, however late timers are",
    async (share) => {
      for (const lateMilliseconds of [0, 3]) {
        const work = new Work(share);
        work.lateMilliseconds = lateMilliseconds;
        const quiet = await work.rate(10_000);
        work.hostsEvery = 5;
        await work.rate(2000);
        const beside = await work.rate(60_000);
        expect(beside / quiet / (share / 100), `${lateMilliseconds} ms late`).toBeGreaterThan(0.95);
        expect(beside / quiet / (share / 100), `${lateMilliseconds} ms late`).toBeLessThan(1.05);
      }
    },
  );

  test("keeps its share where hosts make a step slower, up to twice as slow; beyond, the share is one of the time", async () => {
    const work = new Work(30);
    const quiet = await work.rate(10_000);
    work.hostsEvery = 5;
    work.stepMilliseconds = 15;
    await work.rate(5000);
    expect((await work.rate(60_000)) / quiet).toBeCloseTo(0.3 * (8 / 15), 2);
    work.stepMilliseconds = 80;
    await work.rate(20_000);
    expect((await work.rate(60_000)) / quiet).toBeCloseTo(0.3 * (8 / 80), 2);
  });

  test("is a share of the time where hosts were never quiet", async () => {
    const work = new Work(30);
    work.hostsEvery = 5;
    await work.rate(2000);
    expect(await work.rate(60_000)).toBeCloseTo((0.3 * LANES) / 8, 2);
  });

  test("is all that there is again a second after hosts", async () => {
    const work = new Work(10);
    await work.rate(5000);
    work.hostsEvery = 5;
    await work.rate(5000);
    work.hostsEvery = 0;
    await work.rate(1100);
    expect(await work.rate(10_000)).toBeCloseTo(LANES / 8, 2);
  });
});
