import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CleanFrames, CleanQueues, LOOKS_EACH_MAX, QUEUE, QUEUE_SHARES } from "../../../src/cache/clean-queues.ts";
import { GhostTable } from "../../../src/cache/ghost-table.ts";

const FRAME_COUNT = 256;
const VOLUME = 1;
const QUEUES = Object.values(QUEUE);

function frameTable(): CleanFrames {
  return {
    volume: new Uint32Array(FRAME_COUNT).fill(VOLUME),
    block: Uint32Array.from({ length: FRAME_COUNT }, (_, n) => n),
    pins: new Uint32Array(FRAME_COUNT),
    referenced: new Uint8Array(FRAME_COUNT),
    queue: new Uint8Array(FRAME_COUNT),
    next: new Int32Array(FRAME_COUNT),
    previous: new Int32Array(FRAME_COUNT),
  };
}

/** Looks until something leaves, or it is plain that nothing may. */
function evictOne(queues: CleanQueues): number {
  for (let looks = queues.count * LOOKS_EACH_MAX; looks > 0; looks--) {
    const frame = queues.look(false);
    if (frame >= 0) return frame;
  }
  return -1;
}

/** The rules of clean-queues.ts on plain arrays. */
class Model {
  readonly lists: number[][] = QUEUES.map(() => []);
  readonly used = new Set<number>();
  readonly pinned = new Set<number>();
  /** Of dirty frames: where they will go. */
  readonly destiny = new Map<number, number>();
  readonly ghosts = new GhostTable(FRAME_COUNT);
  kept = 0;

  get count(): number {
    return this.lists.reduce((sum, list) => sum + list.length, 0);
  }

  list(queue: number): number[] {
    return this.lists[queue]!;
  }

  queueOf(frame: number): number {
    return this.lists.findIndex((list) => list.includes(frame));
  }

  enterRead(frame: number): void {
    this.used.delete(frame);
    if (this.ghosts.take(VOLUME, frame)) {
      this.list(QUEUE.main).push(frame);
      return;
    }
    this.list(QUEUE.nursery).push(frame);
    if (this.list(QUEUE.nursery).length > QUEUE_SHARES.nursery * this.count) this.#toProbation(this.list(QUEUE.nursery).shift()!);
  }

  enterAhead(frame: number): void {
    this.used.delete(frame);
    const list = this.list(QUEUE.ahead);
    list.push(frame);
    for (let moves = 2; moves > 0 && this.used.has(list[0]!); moves--) this.#toProbation(list.shift()!);
  }

  write(frame: number): void {
    const queue = this.queueOf(frame);
    const destiny = this.destiny.get(frame);
    if (queue >= 0) this.leave(frame);
    const known = queue < 0 && destiny === undefined && this.ghosts.take(VOLUME, frame);
    this.destiny.set(frame, known || queue === QUEUE.main || destiny === QUEUE.main ? QUEUE.main : QUEUE.probation);
    this.used.delete(frame);
  }

  clean(frame: number): void {
    const queue = this.destiny.get(frame)!;
    this.destiny.delete(frame);
    if (queue === QUEUE.probation) this.used.delete(frame);
    this.list(queue).push(frame);
  }

  leave(frame: number): void {
    const list = this.list(this.queueOf(frame));
    list.splice(list.indexOf(frame), 1);
  }

  look(): number {
    const queue = this.#nextQueue();
    const frame = this.list(queue).shift();
    if (frame === undefined) return -1;
    if (this.pinned.has(frame) || this.used.has(frame)) {
      this.used.delete(frame);
      this.list(queue === QUEUE.ahead ? QUEUE.probation : QUEUE.main).push(frame);
      this.kept += 1;
    } else {
      this.kept = 0;
      if (queue === QUEUE.nursery || queue === QUEUE.probation) {
        this.ghosts.keep(QUEUE_SHARES.ghosts * this.count);
        this.ghosts.add(VOLUME, frame);
      }
      return frame;
    }
    return -1;
  }

  #nextQueue(): number {
    const [inNursery, inProbation, inMain, inAhead] = this.lists.map((list) => list.length) as [number, number, number, number];
    if (inAhead > QUEUE_SHARES.ahead * this.count) return QUEUE.ahead;
    const wantMain = inNursery + inProbation <= QUEUE_SHARES.probation * this.count && this.kept <= this.count * 2;
    if (inMain > 0 && wantMain) return QUEUE.main;
    return inProbation > 0 ? QUEUE.probation : inNursery > 0 ? QUEUE.nursery : inAhead > 0 ? QUEUE.ahead : QUEUE.main;
  }

  #toProbation(frame: number): void {
    this.used.delete(frame);
    this.list(QUEUE.probation).push(frame);
  }
}

type Act = { kind: "read" | "ahead" | "write" | "clean" | "use" | "pin" | "unpin" | "leave" | "look"; frame: number };
const anAct: fc.Arbitrary<Act> = fc.record({
  kind: fc.constantFrom<Act["kind"]>(
    "read",
    "read",
    "ahead",
    "write",
    "clean",
    "use",
    "use",
    "pin",
    "unpin",
    "leave",
    "look",
    "look",
  ),
  frame: fc.nat({ max: 99 }),
});

describe("CleanQueues", () => {
  test("does what the rules say, whatever comes, with each clean frame in one queue (invariants 1 and 2)", () => {
    fc.assert(
      fc.property(fc.array(anAct, { maxLength: 600, size: "max" }), (acts) => {
        const frames = frameTable();
        const queues = new CleanQueues(frames);
        const model = new Model();
        for (const { kind, frame } of acts) {
          const isClean = model.queueOf(frame) >= 0;
          const isDirty = model.destiny.has(frame);
          const isThere = isClean || isDirty;
          if (kind === "read" && !isThere) {
            queues.enterRead(frame);
            model.enterRead(frame);
          } else if (kind === "ahead" && !isThere) {
            queues.enterAhead(frame);
            model.enterAhead(frame);
          } else if (kind === "write") {
            // The frame stands for its block here: the newer version takes the older one's place.
            const destiny = frames.queue[frame]!;
            if (isClean) queues.leave(frame);
            frames.queue[frame] = destiny;
            queues.written(frame, isThere ? frame : -1);
            model.write(frame);
          } else if (kind === "clean" && isDirty) {
            queues.enterWritten(frame);
            model.clean(frame);
          } else if (kind === "use" && isThere) {
            frames.referenced[frame] = 1;
            model.used.add(frame);
          } else if (kind === "pin" && isClean) {
            frames.pins[frame] = 1;
            model.pinned.add(frame);
          } else if (kind === "unpin") {
            frames.pins[frame] = 0;
            model.pinned.delete(frame);
          } else if (kind === "leave" && isClean) {
            queues.leave(frame);
            model.leave(frame);
          } else if (kind === "look") expect(queues.look(false)).toBe(model.look());
          const seen: number[][] = QUEUES.map(() => []);
          queues.each((one) => seen[frames.queue[one]!]!.push(one));
          expect(seen).toEqual(model.lists);
          expect(QUEUES.map((queue) => queues.countIn(queue))).toEqual(model.lists.map((list) => list.length));
          expect(queues.count).toBe(model.count);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("finds what may leave within a few looks for each frame, and takes no pinned one (invariants 2 and 3)", () => {
    fc.assert(
      fc.property(fc.array(anAct, { minLength: 20, maxLength: 300, size: "max" }), (acts) => {
        const frames = frameTable();
        const queues = new CleanQueues(frames);
        const there = new Set<number>();
        for (const { kind, frame } of acts) {
          if (kind === "use") frames.referenced[frame] = 1;
          else if (kind === "pin") frames.pins[frame] = 1;
          else if (!there.has(frame)) {
            there.add(frame);
            if (kind === "ahead") queues.enterAhead(frame);
            else queues.enterRead(frame);
          }
        }
        const left: number[] = [];
        for (let frame = evictOne(queues); frame >= 0; frame = evictOne(queues)) left.push(frame);
        const free = [...there].filter((frame) => frames.pins[frame] === 0);
        expect(left.sort((a, b) => a - b)).toEqual(free.sort((a, b) => a - b));
        expect(queues.count).toBe(there.size - free.length);
      }),
    );
  });

  test("lets go of what was used when it must, and of nothing pinned even then", () => {
    const frames = frameTable();
    const queues = new CleanQueues(frames);
    for (let frame = 0; frame < 10; frame++) queues.enterRead(frame);
    frames.referenced.fill(1);
    frames.pins[0] = 1;
    expect([queues.look(true), queues.look(true), queues.look(true)]).toEqual([-1, 1, 2]);
  });
});

/** A cache of `size` blocks around the queues: block → frame by the block's place in the frame table. */
class SmallCache {
  readonly frames = frameTable();
  readonly queues = new CleanQueues(this.frames);
  readonly #frameOf = new Map<number, number>();
  readonly #free: number[];

  constructor(size: number) {
    this.#free = Array.from({ length: size }, (_, n) => n);
  }

  has(block: number): boolean {
    return this.#frameOf.has(block);
  }

  read(block: number, enter: (frame: number) => void = (frame) => this.queues.enterRead(frame)): boolean {
    const there = this.#frameOf.get(block);
    if (there !== undefined) {
      this.frames.referenced[there] = 1;
      return true;
    }
    const frame = this.#free.pop() ?? this.#evict();
    this.frames.block[frame] = block;
    this.#frameOf.set(block, frame);
    enter(frame);
    return false;
  }

  readAhead(block: number): void {
    if (!this.has(block)) this.read(block, (frame) => this.queues.enterAhead(frame));
  }

  share(blocks: readonly number[]): number {
    return blocks.filter((block) => this.has(block)).length / blocks.length;
  }

  #evict(): number {
    const frame = evictOne(this.queues);
    this.#frameOf.delete(this.frames.block[frame]!);
    return frame;
  }
}

const range = (first: number, count: number): number[] => Array.from({ length: count }, (_, n) => first + n);

/** 130 blocks that are in main, in a cache of 200. */
function withHotSet(): { cache: SmallCache; hot: number[] } {
  const cache = new SmallCache(200);
  const hot = range(0, 130);
  for (let round = 0; round < 3; round++) for (const block of hot) cache.read(block);
  // Room is short for a while: what was used again is found out.
  for (const first of [10_000, 20_000, 30_000]) {
    for (const block of range(first, 100)) cache.read(block);
    for (const block of hot) cache.read(block);
  }
  return { cache, hot };
}

describe("CleanQueues: scans (invariant 4)", () => {
  test.each([1, 2, 8])("of a hundred caches' worth, %i reads a block, leave the hot set where it is", (touches) => {
    const { cache, hot } = withHotSet();
    for (const block of range(100_000, 20_000)) for (let touch = 0; touch < touches; touch++) cache.read(block);
    expect(cache.share(hot)).toBe(1);
  });

  test("that are read ahead leave the hot set where it is, used or not", () => {
    const { cache, hot } = withHotSet();
    for (let first = 100_000; first < 110_000; first += 16) {
      for (const block of range(first, 16)) cache.readAhead(block);
      for (const block of range(first, 16)) if (first % 32 === 0) expect(cache.read(block)).toBe(true);
    }
    expect(cache.share(hot)).toBe(1);
  });

  test("give way to a new hot set, which is hit from its third reading on", () => {
    const { cache } = withHotSet();
    const hot = range(50_000, 100);
    for (let round = 0; round < 2; round++) for (const block of hot) cache.read(block);
    expect(hot.filter((block) => cache.read(block)).length).toBeGreaterThan(40);
    for (let round = 0; round < 8; round++) for (const block of hot) cache.read(block);
    for (const block of range(100_000, 2000)) cache.read(block);
    expect(cache.share(hot)).toBeGreaterThan(0.9);
  });
});

describe("CleanQueues: read-ahead", () => {
  test("that nobody used leaves before what was asked for, and is counted", () => {
    const cache = new SmallCache(200);
    for (const block of range(0, 100)) cache.read(block);
    for (const block of range(1000, 100)) cache.readAhead(block);
    for (const block of range(1000, 10)) cache.read(block);
    for (const block of range(2000, 50)) cache.read(block);
    expect(cache.share(range(0, 100))).toBe(1);
    expect(cache.share(range(1000, 10))).toBe(1);
    expect(cache.share(range(1010, 50))).toBe(0);
    expect(cache.queues.aheadUnused).toBe(50);
  });

  test("keeps a share of the cache while its reader is on the way", () => {
    const cache = new SmallCache(200);
    for (const block of range(0, 400)) cache.read(block);
    for (const block of range(1000, 40)) cache.readAhead(block);
    for (const block of range(2000, 1000)) cache.read(block);
    expect(cache.share(range(1000, 40))).toBe(1);
  });
});

describe("CleanQueues: ghosts", () => {
  test("bring a block that is read or written again straight to main, and are counted", () => {
    const cache = new SmallCache(200);
    const { frames, queues } = cache;
    for (const block of range(0, 210)) cache.read(block);
    expect(cache.has(3)).toBe(false);
    cache.read(3);
    expect(queues.ghostHits).toBe(1);
    expect(queues.countIn(QUEUE.main)).toBe(1);
    // A write of a block that left not long ago; 255 is a frame that the small cache does not use.
    frames.block[255] = 4;
    queues.written(255, -1);
    queues.enterWritten(255);
    expect(queues.ghostHits).toBe(2);
    expect(frames.queue[255]).toBe(QUEUE.main);
  });

  test("are not made of what was read ahead for nothing, nor of what main lets go", () => {
    const cache = new SmallCache(200);
    for (const block of range(0, 200)) cache.readAhead(block);
    for (const block of range(1000, 200)) cache.read(block);
    expect(cache.has(0)).toBe(false);
    cache.read(0);
    expect(cache.queues.ghostHits).toBe(0);
  });
});

describe("CleanQueues: writes", () => {
  test("a block of main stays one of main through rewrites; uses while dirty make none", () => {
    const frames = frameTable();
    const queues = new CleanQueues(frames);
    for (let frame = 0; frame < 20; frame++) queues.enterRead(frame);
    frames.referenced[0] = 1;
    expect(queues.look(false)).toBe(-1);
    expect(frames.queue[0]).toBe(QUEUE.main);
    queues.written(100, 0);
    queues.leave(0);
    queues.written(101, 100);
    queues.enterWritten(101);
    expect(frames.queue[101]).toBe(QUEUE.main);
    queues.written(102, 1);
    frames.referenced[102] = 1;
    queues.enterWritten(102);
    expect([frames.queue[102], frames.referenced[102]]).toEqual([QUEUE.probation, 0]);
  });
});
