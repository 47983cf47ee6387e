/**
 * The frames of global memory that one director holds, and the table of what each one is.
 *
 * Frames come in chunks of 256 (1 MiB): a director claims chunks from the array-wide chunk table when it needs them,
 * and gives wholly idle ones back when another director wants memory. Each frame is in one state:
 *
 *   absent ──claim──▶ free ──take──▶ reserved ──publish──▶ dirty ──destage──▶ clean ──reclaim──▶ free
 *                       ▲                │ give               │ superseded       │ superseded
 *                       └────────────────┴───── retired ◀─────┴──────────────────┘   (until its last pin is gone)
 *
 * Runs on: the director's thread. Owns: the frames of its chunks and their rows in the table.
 * Invariants:
 *  1. free + reserved + dirty + clean + retired === frames of the chunks held.
 *  2. Only free frames are handed out; only clean, unpinned frames are reclaimed.
 *  3. The content of a dirty, clean or retired frame never changes.
 *  4. Host writes never take the last `internalReserve` frames: destage and reads can always go on.
 *  5. What one kind of host write holds leaves room for the others (frame-shares.ts).
 */
import type { FrameChunks } from "../../drivers/shared-memory/frame-chunks.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import type { FrameSource } from "../volume/block-io.ts";
import { FrameGroups, GROUP_FRAMES } from "./frame-groups.ts";
import { EVERYBODY, FrameShares, type ShareLimit } from "./frame-shares.ts";
import { FrameViews } from "./frame-views.ts";

export const FRAME_STATE = { absent: 0, free: 1, reserved: 2, dirty: 3, clean: 4, retired: 5 } as const;
const { absent, free, reserved, dirty, clean, retired } = FRAME_STATE;
const STATE_COUNT = 6;

export const CHUNK_FRAMES = 256;
/** Every 512-byte sector of a block is there. */
export const MASK_FULL = 0xff;

/** Who can turn clean frames into free ones: the caches of the director's pools. */
export interface Reclaimer {
  readonly cleanCount: number;
  /** Frees up to `count` clean frames; returns how many. */
  reclaim(count: number): number;
  /** Frees this frame if it is a clean one of this cache. */
  evict(frame: number): boolean;
  /** Host writes wait for frames: something dirty should become clean. */
  shortage?: () => void;
}

export interface FramePoolOptions {
  readonly global: GlobalMemory;
  readonly chunks: FrameChunks;
  readonly directorIndex: number;
  readonly directorCount: number;
  /** Share of the held frames that host writes may fill before they wait for destage. */
  readonly dirtyPercentMax: number;
}

export class FramePool implements FrameSource {
  // The frame table: one row for each frame of global memory, indexed by frame number.
  readonly state: Uint8Array;
  readonly pins: Uint32Array;
  readonly volume: Uint32Array;
  readonly block: Uint32Array;
  /** Which 512-byte sectors of the block the frame holds. */
  readonly mask: Uint8Array;
  readonly crc: Uint32Array;
  /** Journal sequence number of the record that made a frame dirty. */
  readonly sequence: Float64Array;
  /** A destage batch refers to the frame. */
  readonly destaging: Uint8Array;
  /** The rest of a block that was written in part is lost: it goes to the drives as unreadable. */
  readonly poisoned: Uint8Array;
  /** Used since the cache last looked at it (`CleanQueues`); a hit stores 1. */
  readonly referenced: Uint8Array;
  /** Which of the cache's queues the frame is in, or will be in when it is clean (`CleanQueues`). */
  readonly queue: Uint8Array;
  readonly next: Int32Array;
  readonly previous: Int32Array;

  /** Frame full of zeros, for blocks that were never written. Never freed; pins of it are not counted. */
  readonly zeroFrame: number;

  readonly #global: GlobalMemory;
  readonly #chunks: FrameChunks;
  readonly #directorIndex: number;
  readonly #dirtyPercentMax: number;
  readonly #fairChunks: number;
  readonly #counts = new Float64Array(STATE_COUNT);
  readonly #views: FrameViews;
  readonly #free: FrameGroups;
  readonly #held = new Set<number>();
  readonly #reclaimers: Reclaimer[] = [];
  readonly #shares: FrameShares;
  readonly #internalReserve: number;

  constructor(options: FramePoolOptions) {
    const { global, chunks, directorCount } = options;
    const frameCount = global.layout.shape.frameCount;
    this.#global = global;
    this.#chunks = chunks;
    this.#directorIndex = options.directorIndex;
    this.#dirtyPercentMax = options.dirtyPercentMax;
    this.state = new Uint8Array(frameCount);
    this.pins = new Uint32Array(frameCount);
    this.volume = new Uint32Array(frameCount);
    this.block = new Uint32Array(frameCount);
    this.mask = new Uint8Array(frameCount);
    this.crc = new Uint32Array(frameCount);
    this.sequence = new Float64Array(frameCount);
    this.destaging = new Uint8Array(frameCount);
    this.poisoned = new Uint8Array(frameCount);
    this.referenced = new Uint8Array(frameCount);
    this.queue = new Uint8Array(frameCount);
    this.next = new Int32Array(frameCount);
    this.previous = new Int32Array(frameCount);
    this.#views = new FrameViews(global, (frame) => this.addressOf(frame));
    this.#free = new FrameGroups(frameCount);
    this.#shares = new FrameShares(frameCount, {
      framesMax: () => this.writeFramesMax,
      growMax: () => this.#claimChunk(),
      hasRoom: (count) => this.#mayWrite(count),
    });
    this.#fairChunks = Math.max(1, Math.floor(frameCount / CHUNK_FRAMES / directorCount));
    // Half of the fair share is taken at once and never given back below it; the rest goes to who needs it first.
    const first = Math.max(1, Math.floor(this.#fairChunks / 2));
    // What an earlier life of this director left for it comes first.
    for (const chunk of this.#chunks.chunksOf(this.#directorIndex)) this.#takeChunk(chunk);
    while (this.#held.size < first) if (!this.#claimChunk()) break;
    this.#internalReserve = Math.min(1024, Math.floor((first * CHUNK_FRAMES) / 8));
    this.zeroFrame = this.#free.takeOne();
    global.kernels.fill(this.addressOf(this.zeroFrame), 0, FRAME_BYTES);
    this.#setState(this.zeroFrame, retired);
    this.pins[this.zeroFrame] = 1;
  }

  count(state: (typeof FRAME_STATE)[keyof typeof FRAME_STATE]): number {
    return this.#counts[state]!;
  }

  get heldFrames(): number {
    return this.#held.size * CHUNK_FRAMES;
  }

  addReclaimer(reclaimer: Reclaimer): void {
    this.#reclaimers.push(reclaimer);
  }

  /** Its pool has left this director, and holds no frame any more. */
  removeReclaimer(reclaimer: Reclaimer): void {
    const index = this.#reclaimers.indexOf(reclaimer);
    if (index < 0) throw new Error("invariant: a cache that is not known leaves");
    this.#reclaimers.splice(index, 1);
  }

  addressOf(frame: number): number {
    return this.#global.layout.frames + frame * FRAME_BYTES;
  }

  view(frame: number): Buffer {
    return this.#views.view(frame);
  }

  // — host writes (FrameSource) —

  tryTake(count: number, out: Int32Array, at: number): boolean {
    return this.#tryTakeFor(EVERYBODY, count, out, at);
  }

  whenAvailable(count: number, ready: () => void): number {
    return this.#whenAvailableFor(EVERYBODY, count, ready);
  }

  cancelWait(ticket: number): void {
    this.#shares.cancelWait(ticket);
  }

  /** A source of the same frames whose takers hold no more than `limit` while they have not handed them on. */
  share(limit: ShareLimit): FrameSource {
    const share = this.#shares.add(limit);
    return {
      tryTake: (count, out, at) => this.#tryTakeFor(share, count, out, at),
      whenAvailable: (count, ready) => this.#whenAvailableFor(share, count, ready),
      cancelWait: (ticket) => this.cancelWait(ticket),
      give: (frame) => this.give(frame),
      addressOf: (frame) => this.addressOf(frame),
      view: (frame) => this.view(frame),
    };
  }

  give(frame: number): void {
    if (this.state[frame] !== reserved) throw new Error(`invariant: frame ${frame} given back in state ${this.state[frame]}`);
    this.#setFree(frame);
    if (this.waiting > 0) this.serveWaiters();
  }

  /** Frames that host writes may hold, reserved and dirty together. */
  get writeFramesMax(): number {
    const usable = this.heldFrames - this.#internalReserve;
    return Math.floor((usable * this.#dirtyPercentMax) / 100);
  }

  /**
   * As `writeFramesMax` once the chunks that nobody holds are claimed too. They are counted only when it matters: when
   * more than half of what may be held now is (`wanted`).
   */
  writeFramesPossible(wanted: number): number {
    const now = this.writeFramesMax;
    if (wanted * 2 < now) return now;
    return now + Math.floor((this.#chunks.freeChunks() * CHUNK_FRAMES * this.#dirtyPercentMax) / 100);
  }

  /** Calls those back whose frames are there now, in the order of asking within each share. */
  serveWaiters(): void {
    this.#shares.serveWaiters();
  }

  get waiting(): number {
    return this.#shares.waiting;
  }

  // — reads, merges, destage —

  /** One frame for a read miss or the array's own work, or −1. `last`: may use the reserve (destage must go on). */
  takeInternal(last: boolean): number {
    const floor = last ? 0 : this.#internalReserve >> 2;
    if (!this.#ensureFree(1 + floor) && this.#freeCount() < 1 + floor) return -1;
    const frame = this.#free.takeOne();
    if (frame < 0) throw new Error("invariant: no free frame");
    this.#setState(frame, reserved);
    return frame;
  }

  /** Whether so many frames can be borrowed for a moment, of memory that nobody waits for. */
  hasSpare(count: number): boolean {
    return this.waiting === 0 && this.#freeCount() >= count + this.#internalReserve;
  }

  /** A group of free frames, side by side, for content that moves there; false when there is none that nobody needs. */
  tryTakeGroup(out: Int32Array): boolean {
    while (this.#free.wholeCount === 0 || !this.hasSpare(GROUP_FRAMES)) {
      if (this.waiting > 0 || this.#chunks.freeChunks() === 0 || !this.#claimChunk()) return false;
    }
    this.#free.take(GROUP_FRAMES, out, 0);
    for (let n = 0; n < GROUP_FRAMES; n++) this.#setState(out[n]!, reserved);
    return true;
  }

  /** This frame, if it is free. */
  tryTakeThis(frame: number): boolean {
    if (this.state[frame] !== free) return false;
    this.#free.withdraw(frame);
    this.#setState(frame, reserved);
    return true;
  }

  // — states, called by the block cache —

  publish(frame: number, state: typeof dirty | typeof clean | typeof retired): void {
    this.#setState(frame, state);
  }

  /** The frame is superseded or evicted: free when its last user is gone. */
  retire(frame: number): void {
    if (this.pins[frame] === 0 && this.destaging[frame] === 0) this.#setFree(frame);
    else this.#setState(frame, retired);
  }

  pin(frame: number): void {
    if (frame !== this.zeroFrame) this.pins[frame]! += 1;
  }

  unpin(frame: number): void {
    if (frame === this.zeroFrame) return;
    if (this.pins[frame] === 0) throw new Error(`invariant: frame ${frame} unpinned once too often`);
    this.pins[frame]! -= 1;
    if (this.pins[frame] === 0 && this.state[frame] === retired && this.destaging[frame] === 0) this.#setFree(frame);
  }

  /** A destage batch lets go of the frame. */
  endDestage(frame: number): void {
    this.destaging[frame] = 0;
    if (this.state[frame] === retired && this.pins[frame] === 0) this.#setFree(frame);
  }

  /**
   * Housekeeping, called at intervals: gives idle chunks back while another director wants memory and this one holds
   * more than its fair share; serves waiters.
   */
  tick(): void {
    if (this.#held.size > this.#fairChunks && this.#chunks.wantedByOthers(this.#directorIndex) > 0) this.#giveBackOne();
    if (this.waiting === 0) this.#chunks.want(this.#directorIndex, 0);
    this.serveWaiters();
  }

  /** For tests and asserts: invariant 1. */
  checkCounts(): void {
    let sum = 0;
    for (let state = free; state < STATE_COUNT; state++) sum += this.#counts[state]!;
    if (sum !== this.heldFrames) throw new Error(`invariant: ${sum} frames in states, ${this.heldFrames} held`);
    if (this.#free.count !== this.#freeCount())
      throw new Error(`invariant: ${this.#free.count} frames can be taken, ${this.#freeCount()} are free`);
  }

  #whenAvailableFor(share: number, count: number, ready: () => void): number {
    const ticket = this.#shares.wait(share, count, ready);
    for (const reclaimer of this.#reclaimers) reclaimer.shortage?.();
    return ticket;
  }

  #tryTakeFor(share: number, count: number, out: Int32Array, at: number): boolean {
    if (!this.#shares.mayTake(share, count)) return false;
    if (this.#free.take(count, out, at) < count) throw new Error("invariant: no free frame");
    for (let n = at; n < at + count; n++) {
      this.#setState(out[n]!, reserved);
      this.#shares.took(share, out[n]!);
    }
    return true;
  }

  #mayWrite(count: number): boolean {
    let pending = this.#counts[reserved]! + this.#counts[dirty]! + count;
    while (pending > this.writeFramesMax) if (!this.#claimChunk()) return false;
    pending = count + this.#internalReserve;
    return this.#ensureFree(pending);
  }

  /** Free frames, by claiming chunks first (memory that nobody uses), then by evicting clean ones. */
  #ensureFree(count: number): boolean {
    while (this.#freeCount() < count) {
      if (this.#claimChunk()) continue;
      let missing = count - this.#freeCount();
      // The pool that has most gives most, or the first would lose all of its frames before the second lost one.
      if (this.#reclaimers.length > 1) this.#reclaimers.sort(byCleanCount);
      for (const reclaimer of this.#reclaimers) {
        // Evict a few more than asked: the next take then costs nothing.
        missing -= reclaimer.reclaim(missing + 32);
        if (missing <= 0) break;
      }
      return this.#freeCount() >= count;
    }
    return true;
  }

  #freeCount(): number {
    return this.#counts[free]!;
  }

  #setFree(frame: number): void {
    this.poisoned[frame] = 0;
    this.#setState(frame, free);
    this.#free.give(frame);
  }

  #setState(frame: number, state: number): void {
    const counts = this.#counts;
    this.#shares.handedOn(frame);
    counts[this.state[frame]!]! -= 1;
    counts[state]! += 1;
    this.state[frame] = state;
  }

  /** Who has its fair share leaves what is free to another that lacks of its own: else it would take back what `tick` gives. */
  #claimChunk(): boolean {
    if (this.#held.size >= this.#fairChunks && this.#chunks.wantedByOthers(this.#directorIndex) > 0) return false;
    const chunk = this.#chunks.claim(this.#directorIndex);
    if (chunk < 0) {
      if (this.#held.size < this.#fairChunks) this.#chunks.want(this.#directorIndex, this.#fairChunks - this.#held.size);
      return false;
    }
    this.#takeChunk(chunk);
    return true;
  }

  #takeChunk(chunk: number): void {
    this.#held.add(chunk);
    for (let frame = chunk * CHUNK_FRAMES; frame < (chunk + 1) * CHUNK_FRAMES; frame++) {
      this.#counts[absent]! += 1;
      this.#setFree(frame);
    }
  }

  /** Gives back the first chunk that nobody writes to or reads from: its clean frames are evicted. */
  #giveBackOne(): void {
    for (const chunk of this.#held) {
      const first = chunk * CHUNK_FRAMES;
      if (!this.#isIdle(first) || !this.#evictAll(first)) continue;
      for (let frame = first; frame < first + CHUNK_FRAMES; frame++) {
        this.#free.withdraw(frame);
        this.#setState(frame, absent);
      }
      this.#held.delete(chunk);
      this.#chunks.release(chunk);
      return;
    }
  }

  #isIdle(first: number): boolean {
    for (let frame = first; frame < first + CHUNK_FRAMES; frame++) {
      const idle =
        this.state[frame] === free || (this.state[frame] === clean && this.pins[frame] === 0 && this.destaging[frame] === 0);
      if (!idle) return false;
    }
    return true;
  }

  #evictAll(first: number): boolean {
    for (let frame = first; frame < first + CHUNK_FRAMES; frame++) {
      if (this.state[frame] === clean && !this.#reclaimers.some((reclaimer) => reclaimer.evict(frame))) return false;
    }
    return true;
  }
}

function byCleanCount(a: Reclaimer, b: Reclaimer): number {
  return b.cleanCount - a.cleanCount;
}
