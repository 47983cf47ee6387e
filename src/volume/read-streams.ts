/**
 * Which hosts read in order, and how far ahead of each to read.
 *
 * A read that begins where another one ended is a candidate (a small hash table, which random reads may churn as they
 * like); a candidate that goes on becomes a stream. For a stream a window ahead of it is asked for, in halves: it starts
 * small, doubles as the stream comes to use it, and halves when what was read ahead is not there any more or when there
 * was no memory for it. So several hosts' streams, interleaved and among random reads, each have their own, and random
 * reads alone cause nothing.
 *
 *   read ──begins where one ended──▶ candidate ──again──▶ stream ──▶ [next … aheadEnd) asked for, up to window
 *
 * Queued reads may come a little out of order (several sessions): near ahead of a stream they belong to it, and it moves
 * on when they fill at least half of what they have skipped.
 *
 * Runs on: the owning director's thread. Plain calculation; no clock.
 * Invariants:
 *  1. At most STREAMS_MAX streams in all, and STREAMS_PER_VOLUME_MAX of a volume; the least recently used makes room.
 *  2. What is asked for ahead and not yet read is at most `budgetBlocks` for all streams together: the least recently
 *     used give up their claim.
 *  3. A window is at most WINDOW_BLOCKS_MAX.
 */
export const STREAMS_MAX = 64;
export const STREAMS_PER_VOLUME_MAX = 16;
export const WINDOW_BLOCKS_MIN = 32;
/** 2 MiB: on four drives 64 strips, some milliseconds of their work. */
export const WINDOW_BLOCKS_MAX = 512;
const CANDIDATES = 256;
/** Reads in a row that make a stream; two do when they are large. */
const READS_IN_ROW = 3;
const LARGE_ROW_BLOCKS = 64;
/** How far out of order reads of one stream may come: a queue of eight reads of 256 KiB. */
const REORDER_BLOCKS = 512;
/** What is asked for ends on such a boundary, so that a strip is not read in two halves. */
const ALIGN_BLOCKS = 8;

/** What `observe` answers: what to read ahead, if anything. */
export interface ReadAhead {
  /** −1: the read is of no stream. */
  stream: number;
  /** Blocks to ask for: from … to, none when they are equal. */
  from: number;
  to: number;
  /** Up to here the stream had asked before this read: what is not there below it has gone. */
  askedTo: number;
}

export class ReadStreams {
  readonly #volume = new Uint32Array(STREAMS_MAX);
  /** Where the stream's next read should begin. */
  readonly #next = new Float64Array(STREAMS_MAX);
  /** Out of order: end of what has come beyond `next`, and how many blocks of it. */
  readonly #reach = new Float64Array(STREAMS_MAX);
  readonly #skippedTo = new Float64Array(STREAMS_MAX);
  readonly #aheadEnd = new Float64Array(STREAMS_MAX);
  readonly #window = new Uint32Array(STREAMS_MAX);
  readonly #usedAt = new Float64Array(STREAMS_MAX);
  #count = 0;
  #uses = 0;
  readonly #candidateVolume = new Uint32Array(CANDIDATES);
  readonly #candidateNext = new Float64Array(CANDIDATES).fill(-1);
  readonly #candidateReads = new Uint32Array(CANDIDATES);
  readonly #candidateBlocks = new Uint32Array(CANDIDATES);
  readonly #answer: ReadAhead = { stream: -1, from: 0, to: 0, askedTo: 0 };

  /** Streams followed now. */
  get count(): number {
    return this.#count;
  }

  /** Blocks asked for ahead of streams that they have not come to yet. */
  get unreadBlocks(): number {
    let unread = 0;
    for (let stream = 0; stream < this.#count; stream++) unread += this.#unread(stream);
    return unread;
  }

  /**
   * A host reads blocks `first` … `first + count − 1`; its next read in order begins with `next` (the last block again, when
   * the read ends within it). The answer is good until the next call.
   */
  observe(volume: number, first: number, count: number, next: number, budgetBlocks: number): ReadAhead {
    const answer = this.#answer;
    answer.stream = this.#streamOf(volume, first);
    answer.from = answer.to = answer.askedTo = 0;
    if (answer.stream < 0) {
      answer.stream = this.#candidate(volume, first, count, next);
      if (answer.stream < 0) return answer;
    } else {
      answer.askedTo = this.#aheadEnd[answer.stream]!;
      if (!this.#advance(answer.stream, first, count, next)) return answer;
    }
    this.#usedAt[answer.stream] = ++this.#uses;
    this.#ask(answer, budgetBlocks);
    return answer;
  }

  /** What had been read ahead was gone before the stream came to it: less of it, from here on. */
  missed(stream: number): void {
    this.#shrink(stream);
    this.#aheadEnd[stream] = this.#next[stream]!;
  }

  /** Reading ahead ended before `block`. `scarce`: for want of memory. */
  stopped(stream: number, block: number, scarce: boolean): void {
    this.#aheadEnd[stream] = Math.max(this.#next[stream]!, block);
    if (scarce) this.#shrink(stream);
  }

  #shrink(stream: number): void {
    this.#window[stream] = Math.max(WINDOW_BLOCKS_MIN, this.#window[stream]! >>> 1);
  }

  #unread(stream: number): number {
    return Math.max(0, this.#aheadEnd[stream]! - this.#next[stream]!);
  }

  #streamOf(volume: number, first: number): number {
    for (let stream = 0; stream < this.#count; stream++) {
      if (this.#volume[stream] !== volume) continue;
      const distance = first - this.#next[stream]!;
      if (distance >= -REORDER_BLOCKS && distance <= REORDER_BLOCKS) return stream;
    }
    return -1;
  }

  /** False: the read belongs to the stream, but the stream is no farther for it. */
  #advance(stream: number, first: number, count: number, next: number): boolean {
    const expected = this.#next[stream]!;
    if (next <= expected) return false;
    if (first <= expected) {
      this.#next[stream] = next;
    } else {
      this.#reach[stream] = Math.max(this.#reach[stream]!, next);
      this.#skippedTo[stream]! += count;
    }
    const reach = this.#reach[stream]!;
    if (reach > this.#next[stream]!) {
      if (this.#skippedTo[stream]! * 2 < reach - this.#next[stream]!) return first <= expected;
      this.#next[stream] = reach;
    }
    this.#skippedTo[stream] = 0;
    return true;
  }

  /** The stream that this read makes of a candidate, or −1. */
  #candidate(volume: number, first: number, count: number, next: number): number {
    const from = slotOf(volume, first);
    let reads = 1;
    let blocks = count;
    if (this.#candidateNext[from] === first && this.#candidateVolume[from] === volume) {
      reads += this.#candidateReads[from]!;
      blocks += this.#candidateBlocks[from]!;
      this.#candidateNext[from] = -1;
    }
    if (reads >= READS_IN_ROW || (reads >= 2 && blocks >= LARGE_ROW_BLOCKS)) return this.#begin(volume, count, next);
    const to = slotOf(volume, next);
    this.#candidateVolume[to] = volume;
    this.#candidateNext[to] = next;
    this.#candidateReads[to] = reads;
    this.#candidateBlocks[to] = blocks;
    return -1;
  }

  #begin(volume: number, count: number, next: number): number {
    const stream = this.#place(volume);
    this.#volume[stream] = volume;
    this.#next[stream] = next;
    this.#reach[stream] = 0;
    this.#skippedTo[stream] = 0;
    this.#aheadEnd[stream] = next;
    // Doubled at the first asking.
    this.#window[stream] = Math.max(WINDOW_BLOCKS_MIN / 2, Math.min(count, WINDOW_BLOCKS_MAX / 2));
    return stream;
  }

  /** A free place for a stream, or that of the least recently used: of its volume if that has its share. */
  #place(volume: number): number {
    let ofVolume = 0;
    let oldest = -1;
    let oldestOfVolume = -1;
    for (let stream = 0; stream < this.#count; stream++) {
      if (oldest < 0 || this.#usedAt[stream]! < this.#usedAt[oldest]!) oldest = stream;
      if (this.#volume[stream] !== volume) continue;
      ofVolume++;
      if (oldestOfVolume < 0 || this.#usedAt[stream]! < this.#usedAt[oldestOfVolume]!) oldestOfVolume = stream;
    }
    if (ofVolume >= STREAMS_PER_VOLUME_MAX) return oldestOfVolume;
    return this.#count < STREAMS_MAX ? this.#count++ : oldest;
  }

  #ask(answer: ReadAhead, budgetBlocks: number): void {
    const { stream } = answer;
    const next = this.#next[stream]!;
    const aheadEnd = Math.max(this.#aheadEnd[stream]!, next);
    this.#aheadEnd[stream] = aheadEnd;
    if ((aheadEnd - next) * 2 > this.#window[stream]!) return;
    // The stream has come through half of what was asked for: it is worth more.
    this.#window[stream] = Math.min(WINDOW_BLOCKS_MAX, this.#window[stream]! * 2);
    const wanted = Math.ceil((next + this.#window[stream]!) / ALIGN_BLOCKS) * ALIGN_BLOCKS;
    const room = this.#makeRoom(stream, wanted - aheadEnd, budgetBlocks);
    answer.from = aheadEnd;
    answer.to = Math.max(aheadEnd, Math.min(wanted, aheadEnd + room));
    this.#aheadEnd[stream] = answer.to;
  }

  /** How many blocks may be asked for, the claims of streams that have rested longest given up for it. */
  #makeRoom(stream: number, blocks: number, budgetBlocks: number): number {
    let unread = this.unreadBlocks;
    while (unread + blocks > budgetBlocks) {
      let oldest = -1;
      for (let other = 0; other < this.#count; other++) {
        if (other === stream || this.#unread(other) === 0) continue;
        if (oldest < 0 || this.#usedAt[other]! < this.#usedAt[oldest]!) oldest = other;
      }
      if (oldest < 0) break;
      unread -= this.#unread(oldest);
      this.#aheadEnd[oldest] = this.#next[oldest]!;
      this.#shrink(oldest);
    }
    return Math.max(0, Math.min(blocks, budgetBlocks - unread));
  }
}

function slotOf(volume: number, block: number): number {
  const hash = Math.imul(block ^ Math.imul(volume, 0x9e3779b1), 0x85ebca6b);
  return (hash ^ (hash >>> 15)) & (CANDIDATES - 1);
}
