/**
 * Which director has which frames: chunks of 256, claimed and given back by compare and swap on one word each.
 *
 * Runs on: every director. Frames of a chunk belong to its owner alone; how it uses them is its own matter.
 * Invariant: a chunk's word goes 0 → director + 1 → 0 and no other way.
 */
import type { GlobalMemory } from "./global-memory.ts";
import { FRAMES_PER_CHUNK, LINE_BYTES } from "./layout.ts";

export class FrameChunks {
  readonly chunkCount: number;
  private readonly i32: Int32Array;
  private readonly ownerWords: number;
  private readonly wantedWords: number;
  private readonly directorCount: number;

  constructor(global: GlobalMemory) {
    this.i32 = global.i32;
    this.chunkCount = global.layout.frameChunkCount;
    this.ownerWords = global.layout.frameChunks / 4;
    this.wantedWords = global.layout.framesWanted / 4;
    this.directorCount = global.layout.shape.directorCount;
  }

  /** Takes the lowest free chunk, so that a director's chunks tend to be neighbours; −1 when none is free. */
  claim(director: number): number {
    this.wantedWordOf(director);
    for (let chunk = 0; chunk < this.chunkCount; chunk++) {
      const word = this.ownerWords + chunk;
      if (Atomics.load(this.i32, word) === 0 && Atomics.compareExchange(this.i32, word, 0, director + 1) === 0) return chunk;
    }
    return -1;
  }

  /** Gives a chunk back; its owner does, or main for an owner that is dead and joined. */
  release(chunk: number): void {
    const owner = Atomics.exchange(this.i32, this.ownerWordOf(chunk), 0);
    if (owner === 0) throw new Error(`frame chunks: ${chunk} was free already`);
  }

  /** Director that has the chunk, or −1. */
  ownerOf(chunk: number): number {
    return Atomics.load(this.i32, this.ownerWordOf(chunk)) - 1;
  }

  /** All that a director has: what it leaves behind when it dies. */
  chunksOf(director: number): number[] {
    const chunks: number[] = [];
    for (let chunk = 0; chunk < this.chunkCount; chunk++) {
      if (Atomics.load(this.i32, this.ownerWords + chunk) === director + 1) chunks.push(chunk);
    }
    return chunks;
  }

  /** How many are free; others may claim meanwhile. */
  freeChunks(): number {
    let free = 0;
    for (let chunk = 0; chunk < this.chunkCount; chunk++) if (Atomics.load(this.i32, this.ownerWords + chunk) === 0) free++;
    return free;
  }

  /** Says how many chunks a director would like to have beyond its own: 0 takes the wish back. */
  want(director: number, chunks: number): void {
    Atomics.store(this.i32, this.wantedWordOf(director), chunks);
  }

  /** Chunks that all the other directors would like to have. */
  wantedByOthers(director: number): number {
    let wanted = 0;
    for (let other = 0; other < this.directorCount; other++) {
      if (other !== director) wanted += Atomics.load(this.i32, this.wantedWordOf(other));
    }
    return wanted;
  }

  /** First frame of a chunk; the others follow it. */
  firstFrameOf(chunk: number): number {
    return chunk * FRAMES_PER_CHUNK;
  }

  private ownerWordOf(chunk: number): number {
    if (!(chunk >= 0 && chunk < this.chunkCount)) throw new RangeError(`frame chunks: there is no chunk ${chunk}`);
    return this.ownerWords + chunk;
  }

  private wantedWordOf(director: number): number {
    if (!(director >= 0 && director < this.directorCount)) throw new RangeError(`frame chunks: there is no director ${director}`);
    return this.wantedWords + director * (LINE_BYTES / 4);
  }
}
