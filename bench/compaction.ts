/**
 * How much compaction copies, by policy and by what hosts write: a simulation that drives the product's zone table and
 * choice of victims (src/map/zone-table.ts, src/volume/victim.ts). Deterministic; a minute.
 *
 *   npm run build && npx tsc -p tsconfig.bench.json && node dist/bench/compaction.js [live share of the pool, 0.58]
 *
 * A pool of 128 zones with a twelfth in reserve, its live blocks overwritten six times, a write-back cache of 4 % of them
 * before it in which rewrites meet. The figure is blocks written to the drives for each block that was destaged, in
 * the second half of the run; in brackets for each block that hosts wrote.
 */
import { ZONE_STATE, ZoneTable } from "../src/map/zone-table.ts";
import { chooseVictim } from "../src/volume/victim.ts";

const ZONES = 128;
const ZONE_BLOCKS = 1024;
/** Of a stripe of 3+1 with strips of 32 KiB. */
const STRIPE_BLOCKS = 24;
const RESERVE_ZONES = 11;
const CACHE_SHARE = 0.043;
const OVERWRITES = 6;
const SEED = 42;

type Victims = "greedy" | "cost-benefit";
/** Streams that have an open zone each: all blocks together; survivors apart; and rewritten ones apart by how soon. */
type Streams = "one" | "survivors" | "heat";

const liveShare = Number(process.argv[2] ?? 0.58);
const blockCount = Math.floor(liveShare * ZONES * ZONE_BLOCKS);

/** Mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Blocks in random order, so that hot ones are not neighbours. */
function shuffled(random: () => number): Int32Array {
  const order = Int32Array.from({ length: blockCount }, (_, n) => n);
  for (let n = blockCount - 1; n > 0; n--) {
    const other = Math.floor(random() * (n + 1));
    [order[n], order[other]] = [order[other]!, order[n]!];
  }
  return order;
}

type Trace = (random: () => number) => () => number;

const uniform: Trace = (random) => () => Math.floor(random() * blockCount);

function zipf(exponent: number): Trace {
  return (random) => {
    const order = shuffled(random);
    const sums = new Float64Array(blockCount);
    for (let n = 0, sum = 0; n < blockCount; n++) sums[n] = sum += 1 / (n + 1) ** exponent;
    return () => {
      const wanted = random() * sums[blockCount - 1]!;
      let [low, high] = [0, blockCount - 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (sums[middle]! < wanted) low = middle + 1;
        else high = middle;
      }
      return order[low]!;
    };
  };
}

/** So many percent of the blocks get so many percent of the writes. */
function hot(blocksPercent: number, writesPercent: number): Trace {
  return (random) => {
    const order = shuffled(random);
    const hotBlocks = Math.floor((blockCount * blocksPercent) / 100);
    return () => {
      if (random() * 100 < writesPercent) return order[Math.floor(random() * hotBlocks)]!;
      return order[hotBlocks + Math.floor(random() * (blockCount - hotBlocks))]!;
    };
  };
}

class SimulatedPool {
  destaged = 0;
  moved = 0;
  readonly #zones = new ZoneTable(ZONES);
  readonly #filled = new Int32Array(ZONES);
  readonly #content = new Int32Array(ZONES * ZONE_BLOCKS).fill(-1);
  readonly #place = new Int32Array(blockCount).fill(-1);
  readonly #writtenAt = new Float64Array(blockCount);
  readonly #open = new Map<string, number>();
  readonly #victims: Victims;
  readonly #streams: Streams;
  /** Mean age of what was overwritten of late: below half of it a block counts as hot. */
  #meanLife = Number.POSITIVE_INFINITY;
  #lives = { sum: 0, count: 0 };

  constructor(victims: Victims, streams: Streams) {
    this.#victims = victims;
    this.#streams = streams;
  }

  destage(block: number): void {
    const isHot = this.#streams === "heat" && this.#isHot(block);
    this.#writtenAt[block] = this.destaged;
    this.destaged += 1;
    this.#append(block, this.#streams === "heat" && !isHot ? "survivors" : "destage");
    this.#compact();
  }

  #isHot(block: number): boolean {
    if (this.#place[block]! < 0) return false;
    const life = this.destaged - this.#writtenAt[block]!;
    this.#lives = { sum: this.#lives.sum + life, count: this.#lives.count + 1 };
    if (this.#lives.count === 16 * ZONE_BLOCKS) {
      this.#meanLife = this.#lives.sum / this.#lives.count;
      this.#lives = { sum: 0, count: 0 };
    }
    return life < this.#meanLife / 2;
  }

  #append(block: number, stream: string): void {
    const zones = this.#zones;
    let slot = this.#open.get(stream);
    if (slot === undefined) {
      slot = zones.findFree();
      zones.state[slot] = ZONE_STATE.open;
      zones.zone[slot] = zones.nextZone++;
      this.#filled[slot] = 0;
      this.#open.set(stream, slot);
    }
    const old = this.#place[block]!;
    if (old >= 0) zones.addLive(Math.floor(old / ZONE_BLOCKS), -1);
    const place = slot * ZONE_BLOCKS + this.#filled[slot]!++;
    this.#content[place] = block;
    this.#place[block] = place;
    zones.addLive(slot, 1);
    if (this.#filled[slot] !== ZONE_BLOCKS) return;
    zones.state[slot] = ZONE_STATE.sealed;
    this.#open.delete(stream);
  }

  #compact(): void {
    const zones = this.#zones;
    while (zones.count(ZONE_STATE.free) < RESERVE_ZONES) {
      const slot = chooseVictim({
        zones,
        blocksPerZone: ZONE_BLOCKS,
        blocksPerStripe: STRIPE_BLOCKS,
        isUrgent: this.#victims === "greedy",
        mayEmpty: () => true,
      });
      if (slot < 0) return;
      for (let place = slot * ZONE_BLOCKS; place < (slot + 1) * ZONE_BLOCKS; place++) {
        const block = this.#content[place]!;
        if (this.#place[block] !== place) continue;
        this.moved += 1;
        this.#append(block, this.#streams === "one" ? "destage" : "survivors");
      }
      zones.state[slot] = ZONE_STATE.free;
    }
  }
}

function amplification(trace: Trace, victims: Victims, streams: Streams): string {
  const random = randomFrom(SEED);
  const next = trace(random);
  const pool = new SimulatedPool(victims, streams);
  for (let block = 0; block < blockCount; block++) pool.destage(block);
  /** Oldest first; a rewrite goes to the end. */
  const dirty = new Set<number>();
  const writes = blockCount * OVERWRITES;
  let half = { destaged: 0, moved: 0 };
  for (let n = 0; n < writes; n++) {
    if (n === Math.floor(writes / 2)) half = { destaged: pool.destaged, moved: pool.moved };
    const block = next();
    dirty.delete(block);
    dirty.add(block);
    if (dirty.size <= blockCount * CACHE_SHARE) continue;
    const oldest = dirty.values().next().value!;
    dirty.delete(oldest);
    pool.destage(oldest);
  }
  const destaged = pool.destaged - half.destaged;
  const written = destaged + pool.moved - half.moved;
  return `${(written / destaged).toFixed(2)} (${(written / (writes / 2)).toFixed(2)})`;
}

const TRACES: readonly (readonly [name: string, trace: Trace])[] = [
  ["uniform", uniform],
  ["zipf 0.9", zipf(0.9)],
  ["zipf 1.1", zipf(1.1)],
  ["90 % of writes to 10 %", hot(10, 90)],
  ["80 % of writes to 20 %", hot(20, 80)],
];
const POLICIES: readonly (readonly [victims: Victims, streams: Streams])[] = [
  ["greedy", "one"],
  ["greedy", "survivors"],
  ["cost-benefit", "one"],
  ["cost-benefit", "survivors"],
  ["cost-benefit", "heat"],
];

process.stdout.write(`| ${liveShare * 100} % live | ${POLICIES.map((policy) => policy.join(", ")).join(" | ")} |\n`);
process.stdout.write(`| --- |${" --- |".repeat(POLICIES.length)}\n`);
for (const [name, trace] of TRACES) {
  const cells = POLICIES.map(([victims, streams]) => amplification(trace, victims, streams));
  process.stdout.write(`| ${name} | ${cells.join(" | ")} |\n`);
}
