/** LIRS (Jiang and Zhang, SIGMETRICS 2002): 1 % for blocks of high recency, the stack bounded to three caches' worth. */
import { Lists } from "../lists.mjs";
import { Policy } from "./policy.mjs";

const LOW = 0; // state: low inter-reference recency, resident
const HIGH = 1; // high, resident
const GONE = 2; // high, only remembered

export class Lirs extends Policy {
  static bytesPerFrame = 45; // two pairs of links and a state for three nodes, keys for those that are remembered
  /** Stack S, by recency: head is the oldest. */
  #stack;
  /** Queue Q of resident blocks of high recency. */
  #queue;
  #state;
  #lowMax;
  #lowCount = 0;
  #residents = 0;

  constructor(options) {
    super(options, options.frames * 3 + 1);
    this.#stack = new Lists(this.blockOf.length, 1);
    this.#queue = new Lists(this.blockOf.length, 1);
    this.#state = new Uint8Array(this.blockOf.length);
    this.#lowMax = options.frames - Math.max(2, Math.floor(options.frames / 100));
  }

  access(block) {
    const there = this.nodeOf.get(block);
    const state = there === undefined ? GONE : this.#state[there];
    if (state === LOW) this.#hitLow(there);
    else if (state === HIGH) this.#hitHigh(there);
    else this.#miss(block);
    return state !== GONE;
  }

  #hitLow(node) {
    const wasOldest = this.#stack.head[0] === node;
    this.#stack.moveTo(0, node);
    if (wasOldest) this.#prune();
  }

  #hitHigh(node) {
    if (this.#stack.list[node] >= 0) {
      this.#stack.moveTo(0, node);
      this.#queue.remove(node);
      this.#makeLow(node);
    } else {
      this.#stack.append(0, node);
      this.#queue.moveTo(0, node);
    }
  }

  #miss(block) {
    if (this.#residents >= this.frames) this.#evict();
    this.#residents++;
    if (this.freeCount === 0) this.#forgetOldestGone();
    const known = this.nodeOf.get(block);
    const node = known ?? this.take(block);
    if (known !== undefined) {
      this.#stack.moveTo(0, node);
      this.#makeLow(node);
      return;
    }
    this.#stack.append(0, node);
    if (this.#lowCount < this.#lowMax) {
      this.#state[node] = LOW;
      this.#lowCount++;
      return;
    }
    this.#state[node] = HIGH;
    this.#queue.append(0, node);
  }

  #makeLow(node) {
    this.#state[node] = LOW;
    this.#lowCount++;
    this.#prune();
    while (this.#lowCount > this.#lowMax) this.#demote(this.#stack.head[0]);
  }

  /** The oldest of low recency goes to the queue. */
  #demote(node) {
    this.#stack.remove(node);
    this.#state[node] = HIGH;
    this.#lowCount--;
    this.#queue.append(0, node);
    this.#prune();
  }

  /** The oldest of the stack is of low recency. */
  #prune() {
    for (let node = this.#stack.head[0]; node >= 0 && this.#state[node] !== LOW; node = this.#stack.head[0]) {
      this.#stack.remove(node);
      if (this.#state[node] === GONE) this.forget(node);
    }
  }

  #evict() {
    let victim = this.#queue.first(0, this.mayLeave);
    while (victim < 0) {
      // All of the queue is dirty.
      this.#demote(this.#stack.head[0]);
      victim = this.#queue.first(0, this.mayLeave);
    }
    this.#queue.remove(victim);
    this.#residents--;
    if (this.#stack.list[victim] >= 0) this.#state[victim] = GONE;
    else this.forget(victim);
  }

  #forgetOldestGone() {
    const node = this.#stack.first(0, (one) => this.#state[one] === GONE);
    this.#stack.remove(node);
    this.forget(node);
  }
}
