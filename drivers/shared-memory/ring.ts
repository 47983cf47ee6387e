/**
 * Ring of fixed 128-byte slots between two threads: single producer, single consumer.
 *
 * Runs on: RingProducer on the one thread that sends, RingConsumer on the one that receives. Neither allocates or waits.
 * Head and tail count slots without end and wrap at 2^32; their difference is what lies in the ring.
 * Invariants:
 *  1. Only the producer writes head and free slots, only the consumer writes tail.
 *  2. A slot's words are written before head passes it, and read before tail passes it.
 *  3. 0 ≤ head − tail ≤ slots.
 * Word 0 of a slot is the sender's epoch, set and judged by the users.
 */
import type { GlobalMemory } from "./global-memory.ts";
import { LAYOUT_VERSION, RING_HEADER_BYTES, RING_WORD, type RingPlace, SLOT_WORDS } from "./layout.ts";

/** Main, once, before any thread attaches. */
export function initialiseRing(i32: Int32Array, place: RingPlace): void {
  const header = place.address / 4;
  i32[header + RING_WORD.slots] = place.slots;
  i32[header + RING_WORD.layoutVersion] = LAYOUT_VERSION;
}

export class RingProducer {
  private readonly i32: Int32Array;
  private readonly firstSlot: number;
  private readonly headWord: number;
  private readonly tailWord: number;
  private readonly slots: number;
  private readonly mask: number;
  private head: number;
  /** The consumer's tail when last looked at: it is only behind, so looking again is needed only when it says full. */
  private seenTail: number;

  constructor(global: GlobalMemory, place: RingPlace) {
    const header = checkedHeader(global, place);
    this.i32 = global.i32;
    this.firstSlot = header + RING_HEADER_BYTES / 4;
    this.headWord = header + RING_WORD.head;
    this.tailWord = header + RING_WORD.tail;
    this.slots = place.slots;
    this.mask = place.slots - 1;
    this.head = Atomics.load(this.i32, this.headWord);
    this.seenTail = Atomics.load(this.i32, this.tailWord);
  }

  /** Int32 word index of the next free slot, or −1 when the ring is full. Fill it in, then `publish`. */
  tryReserve(): number {
    if (((this.head - this.seenTail) | 0) >= this.slots) {
      this.seenTail = Atomics.load(this.i32, this.tailWord);
      if (((this.head - this.seenTail) | 0) >= this.slots) return -1;
    }
    return this.firstSlot + (this.head & this.mask) * SLOT_WORDS;
  }

  /** Hands the reserved slot over. Then ring the consumer's doorbell: once for as many as were published. */
  publish(): void {
    this.head = (this.head + 1) | 0;
    // Publication order: the slot's words (plain stores before), then head (sequentially consistent).
    Atomics.store(this.i32, this.headWord, this.head);
  }

  /** Slots that the consumer has not given back. */
  get size(): number {
    return (this.head - Atomics.load(this.i32, this.tailWord)) | 0;
  }
}

export class RingConsumer {
  private readonly i32: Int32Array;
  private readonly firstSlot: number;
  private readonly headWord: number;
  private readonly tailWord: number;
  private readonly mask: number;
  private tail: number;
  /** The producer's head when last looked at: looking again is needed only when it says empty. */
  private seenHead: number;

  constructor(global: GlobalMemory, place: RingPlace) {
    const header = checkedHeader(global, place);
    this.i32 = global.i32;
    this.firstSlot = header + RING_HEADER_BYTES / 4;
    this.headWord = header + RING_WORD.head;
    this.tailWord = header + RING_WORD.tail;
    this.mask = place.slots - 1;
    this.tail = Atomics.load(this.i32, this.tailWord);
    this.seenHead = Atomics.load(this.i32, this.headWord);
  }

  /** Int32 word index of the oldest slot, or −1 when the ring is empty. It stays good until `advance`. */
  peek(): number {
    if (this.seenHead === this.tail) {
      this.seenHead = Atomics.load(this.i32, this.headWord);
      if (this.seenHead === this.tail) return -1;
    }
    return this.firstSlot + (this.tail & this.mask) * SLOT_WORDS;
  }

  /** Gives the slot that `peek` named back to the producer. */
  advance(): void {
    this.tail = (this.tail + 1) | 0;
    // Publication order: the slot was read (plain loads before), then tail.
    Atomics.store(this.i32, this.tailWord, this.tail);
  }

  /** Throws away all that lies in the ring, as after the producer's death; says how many slots that were. */
  discard(): number {
    this.seenHead = Atomics.load(this.i32, this.headWord);
    const discarded = (this.seenHead - this.tail) | 0;
    this.tail = this.seenHead;
    Atomics.store(this.i32, this.tailWord, this.tail);
    return discarded;
  }

  /** Slots published and not yet given back. */
  get size(): number {
    return (Atomics.load(this.i32, this.headWord) - this.tail) | 0;
  }
}

function checkedHeader(global: GlobalMemory, place: RingPlace): number {
  const header = place.address / 4;
  if (global.i32[header + RING_WORD.layoutVersion] !== LAYOUT_VERSION || global.i32[header + RING_WORD.slots] !== place.slots) {
    throw new Error(`ring: no ring of ${place.slots} slots at ${place.address}`);
  }
  return header;
}
