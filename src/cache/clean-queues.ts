/**
 * The clean frames of one pool, in the order in which they leave: what was used once leaves before what is used again.
 *
 *   read from a drive ──▶ nursery ──▶ probation ─ not used again ─▶ leaves, its block is remembered as a ghost
 *   destaged ─────────────────────────▲   │ used again
 *   read again while it is a ghost ───┐   ▼
 *                                     └▶ main ─ not used since it was last looked at ─▶ leaves
 *   read ahead ──▶ ahead ─ not used ─▶ leaves;  used ─▶ probation
 *
 * S3-FIFO with two queues more, chosen by simulation (docs/decisions/0005, docs/performance/eviction.md): a hit stores one
 * byte (`referenced`), all else happens when a frame enters or leaves. Uses in the nursery count for nothing: the reads
 * of a scan that ends within a block come to the block twice, and that doesn't make it worth keeping.
 *
 * Runs on: the owning director's thread. Owns: the links, `queue` and `referenced` of the clean frames of its pool.
 * Invariants:
 *  1. Every clean frame is in exactly one queue, and `queue` names it. (A dirty frame's names the one it will be in.)
 *  2. A pinned frame never leaves.
 *  3. `look` is O(1), and `count` × LOOKS_EACH_MAX looks find a frame that may leave if there is one.
 *  4. A scan, however long, takes no more than the shares of nursery, probation and ahead from what main has filled.
 */
import { GhostTable } from "./ghost-table.ts";

/** The columns of the frame table that the queues work on. */
export interface CleanFrames {
  readonly volume: Uint32Array;
  readonly block: Uint32Array;
  readonly pins: Uint32Array;
  /** Set by every hit. */
  readonly referenced: Uint8Array;
  readonly queue: Uint8Array;
  readonly next: Int32Array;
  readonly previous: Int32Array;
}

export const QUEUE = { nursery: 0, probation: 1, main: 2, ahead: 3 } as const;
const { nursery, probation, main, ahead } = QUEUE;
const QUEUE_COUNT = 4;

/** Shares of all clean frames of the pool. */
export interface QueueShares {
  readonly nursery: number;
  /** Nursery included. Beyond it frames leave from probation, otherwise from main. */
  readonly probation: number;
  readonly ahead: number;
  /** Blocks remembered after they left. */
  readonly ghosts: number;
}

export const QUEUE_SHARES: QueueShares = { nursery: 0.02, probation: 0.1, ahead: 0.2, ghosts: 0.9 };

/** Main twice in vain; then from ahead to probation and to main; main twice. */
export const LOOKS_EACH_MAX = 6;
/** More than the one that enters, so that the queue can catch up. */
const AHEAD_MOVES = 2;

export class CleanQueues {
  readonly #frames: CleanFrames;
  readonly #shares: QueueShares;
  readonly #ghosts: GhostTable;
  readonly #head = new Int32Array(QUEUE_COUNT).fill(-1);
  readonly #tail = new Int32Array(QUEUE_COUNT).fill(-1);
  readonly #counts = new Int32Array(QUEUE_COUNT);
  #count = 0;
  /** Looks since a frame left. */
  #kept = 0;
  #ghostHits = 0;
  #evicted = 0;
  #aheadUnused = 0;

  constructor(frames: CleanFrames, shares: QueueShares = QUEUE_SHARES) {
    this.#frames = frames;
    this.#shares = shares;
    this.#ghosts = new GhostTable(frames.queue.length);
  }

  get count(): number {
    return this.#count;
  }

  countIn(queue: number): number {
    return this.#counts[queue]!;
  }

  /** Blocks that came back soon after they had left: a larger cache would have had them. */
  get ghostHits(): number {
    return this.#ghostHits;
  }

  get evicted(): number {
    return this.#evicted;
  }

  /** Frames read ahead that left unused. */
  get aheadUnused(): number {
    return this.#aheadUnused;
  }

  /** A block that a host asked for has come from the drives. */
  enterRead(frame: number): void {
    const { volume, block, referenced } = this.#frames;
    referenced[frame] = 0;
    if (this.#wasGhost(volume[frame]!, block[frame]!)) {
      this.#append(main, frame);
      return;
    }
    this.#append(nursery, frame);
    if (this.#counts[nursery]! <= this.#shares.nursery * this.#count) return;
    const oldest = this.#head[nursery]!;
    this.#unlink(oldest);
    referenced[oldest] = 0;
    this.#append(probation, oldest);
  }

  /** A block that nobody has asked for yet. */
  enterAhead(frame: number): void {
    const { referenced } = this.#frames;
    referenced[frame] = 0;
    this.#append(ahead, frame);
    // What its reader has reached makes room here: streams use their frames about in the order in which these came.
    for (let moves = AHEAD_MOVES; moves > 0; moves--) {
      const oldest = this.#head[ahead]!;
      if (referenced[oldest] === 0) return;
      this.#unlink(oldest);
      referenced[oldest] = 0;
      this.#append(probation, oldest);
    }
  }

  /** A dirty frame holds the newest version of its block; `old` held it before (clean or dirty), or −1. */
  written(frame: number, old: number): void {
    const { volume, block, queue, referenced } = this.#frames;
    referenced[frame] = 0;
    if (old < 0) queue[frame] = this.#wasGhost(volume[frame]!, block[frame]!) ? main : probation;
    else queue[frame] = queue[old] === main ? main : probation;
  }

  /** The content of `old` has moved to `frame`, of the same queue, which takes its place there. */
  replace(old: number, frame: number): void {
    const { next, previous, queue } = this.#frames;
    const its = queue[old]!;
    const before = previous[old]!;
    const after = next[old]!;
    previous[frame] = before;
    next[frame] = after;
    if (before >= 0) next[before] = frame;
    else this.#head[its] = frame;
    if (after >= 0) previous[after] = frame;
    else this.#tail[its] = frame;
  }

  /** A dirty frame has become clean. The time in which it was dirty was its nursery. */
  enterWritten(frame: number): void {
    const { queue, referenced } = this.#frames;
    if (queue[frame] !== main) referenced[frame] = 0;
    this.#append(queue[frame]!, frame);
  }

  /** The frame is not clean any more, or not the newest version of its block. */
  leave(frame: number): void {
    this.#unlink(frame);
  }

  /**
   * Looks at one frame, the next that might leave. Returns it, out of its queue, or −1 when it stays.
   *
   * @param force - takes it although it was used, unless it is pinned: the search has gone on for long enough
   */
  look(force: boolean): number {
    const { pins, referenced } = this.#frames;
    const queue = this.#nextQueue();
    const frame = this.#head[queue]!;
    if (frame < 0) return -1;
    this.#unlink(frame);
    // Who is pinned is in use, and goes the same way: if he stayed, a queue of none but pinned frames would hold up the others.
    if (pins[frame]! > 0 || (referenced[frame] !== 0 && !force)) {
      referenced[frame] = 0;
      this.#append(queue === ahead ? probation : main, frame);
      this.#kept += 1;
      return -1;
    }
    this.#evict(frame, queue);
    return frame;
  }

  /** Calls `visit` for every clean frame; it may make the frame leave. */
  each(visit: (frame: number) => void): void {
    const { next } = this.#frames;
    for (let queue = 0; queue < QUEUE_COUNT; queue++) {
      for (let frame = this.#head[queue]!; frame >= 0; ) {
        const after = next[frame]!;
        visit(frame);
        frame = after;
      }
    }
  }

  #evict(frame: number, queue: number): void {
    const { volume, block } = this.#frames;
    this.#kept = 0;
    this.#evicted += 1;
    if (queue === ahead) this.#aheadUnused += 1;
    else if (queue !== main) {
      this.#ghosts.keep(this.#shares.ghosts * this.#count);
      this.#ghosts.add(volume[frame]!, block[frame]!);
    }
  }

  #nextQueue(): number {
    const counts = this.#counts;
    const total = this.#count;
    const { ahead: aheadShare, probation: probationShare } = this.#shares;
    // Nothing but pinned frames in main: shares or not, who may leave stands elsewhere.
    const mainIsStuck = counts[main] === 0 || this.#kept > total * 2;
    if (counts[ahead]! > aheadShare * total) return ahead;
    if (mainIsStuck || counts[nursery]! + counts[probation]! > probationShare * total) {
      if (counts[probation]! > 0) return probation;
      if (counts[nursery]! > 0) return nursery;
      if (counts[ahead]! > 0) return ahead;
    }
    return main;
  }

  #wasGhost(volume: number, block: number): boolean {
    if (!this.#ghosts.take(volume, block)) return false;
    this.#ghostHits += 1;
    return true;
  }

  #append(queue: number, frame: number): void {
    const { next, previous, queue: queues } = this.#frames;
    const tail = this.#tail[queue]!;
    previous[frame] = tail;
    next[frame] = -1;
    if (tail >= 0) next[tail] = frame;
    else this.#head[queue] = frame;
    this.#tail[queue] = frame;
    queues[frame] = queue;
    this.#counts[queue]! += 1;
    this.#count += 1;
  }

  #unlink(frame: number): void {
    const { next, previous, queue: queues } = this.#frames;
    const queue = queues[frame]!;
    const before = previous[frame]!;
    const after = next[frame]!;
    if (before >= 0) next[before] = after;
    else this.#head[queue] = after;
    if (after >= 0) previous[after] = before;
    else this.#tail[queue] = before;
    this.#counts[queue]! -= 1;
    this.#count -= 1;
  }
}
