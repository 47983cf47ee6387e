/** A block trace: what hosts read and write, in order, in blocks of 4 KiB; and what is read ahead for them. */
export const KIND = { read: 0, write: 1, ahead: 2 };

/** 2^29 blocks, 2 TiB: a step is block × 4 + kind in one Int32. */
const BLOCKS_MAX = 2 ** 29;

export class Trace {
  #steps;
  #length = 0;
  #kinds = new Set();

  constructor(capacity) {
    this.#steps = new Int32Array(capacity);
  }

  get length() {
    return this.#length;
  }

  get isFull() {
    return this.#length === this.#steps.length;
  }

  /** Past its capacity a trace takes nothing more. */
  add(kind, block) {
    if (this.isFull) return;
    if (block < 0 || block >= BLOCKS_MAX) throw new Error(`block ${block} is past what a trace can hold`);
    this.#kinds.add(kind);
    this.#steps[this.#length++] = block * 4 + kind;
  }

  has(kind) {
    return this.#kinds.has(kind);
  }

  kindAt(n) {
    return this.#steps[n] & 3;
  }

  blockAt(n) {
    return this.#steps[n] >>> 2;
  }
}
