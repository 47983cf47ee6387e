/**
 * Belady's MIN: evicts what is used last of all in the future. No policy can know it: it is the bound of the others.
 * It takes a write for a use and may evict what is dirty. For traces with read-ahead it has no answer.
 */
import { KIND } from "../trace.mjs";

const NEVER = 2 ** 30;

/** @returns the share of reads that hit, from step `warm` on */
export function minimumHitRatio(trace, frames, warm) {
  const next = nextUses(trace);
  const heap = new MaxHeap(trace.length + 1);
  const nextOf = new Map();
  let reads = 0;
  let hits = 0;
  for (let n = 0; n < trace.length; n++) {
    const block = trace.blockAt(n);
    const hit = nextOf.has(block);
    if (n >= warm && trace.kindAt(n) === KIND.read) {
      reads++;
      if (hit) hits++;
    }
    if (!hit && nextOf.size >= frames) {
      // Entries of blocks that have been used since are stale: passed over.
      let farthest = heap.pop();
      while (nextOf.get(farthest.block) !== farthest.at) farthest = heap.pop();
      nextOf.delete(farthest.block);
    }
    nextOf.set(block, next[n]);
    heap.push(next[n], block);
  }
  return hits / reads;
}

function nextUses(trace) {
  const next = new Int32Array(trace.length);
  const seen = new Map();
  for (let n = trace.length - 1; n >= 0; n--) {
    const block = trace.blockAt(n);
    next[n] = seen.get(block) ?? NEVER;
    seen.set(block, n);
  }
  return next;
}

class MaxHeap {
  #at;
  #block;
  #size = 0;

  constructor(capacity) {
    this.#at = new Int32Array(capacity);
    this.#block = new Int32Array(capacity);
  }

  push(at, block) {
    let hole = this.#size++;
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      if (this.#at[parent] >= at) break;
      this.#at[hole] = this.#at[parent];
      this.#block[hole] = this.#block[parent];
      hole = parent;
    }
    this.#at[hole] = at;
    this.#block[hole] = block;
  }

  pop() {
    const top = { at: this.#at[0], block: this.#block[0] };
    const last = --this.#size;
    const at = this.#at[last];
    const block = this.#block[last];
    let hole = 0;
    for (let child = 1; child < this.#size; child = hole * 2 + 1) {
      if (child + 1 < this.#size && this.#at[child + 1] > this.#at[child]) child++;
      if (this.#at[child] <= at) break;
      this.#at[hole] = this.#at[child];
      this.#block[hole] = this.#block[child];
      hole = child;
    }
    this.#at[hole] = at;
    this.#block[hole] = block;
    return top;
  }
}
