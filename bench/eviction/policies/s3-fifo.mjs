/** S3-FIFO (Yang et al., SOSP 2023): small queue 10 %, a counter up to 3, as many ghosts as the main queue has blocks. */
import { Lists } from "../lists.mjs";
import { Policy } from "./policy.mjs";

const SMALL = 0;
const MAIN = 1;
const GHOST = 2;
const USES_MAX = 3;

export class S3Fifo extends Policy {
  static bytesPerFrame = 21; // links, list and counter; links, list and key for 0.9 of a frame that is remembered
  #lists;
  #uses;
  #smallMax;
  #ghostMax;

  constructor(options) {
    super(options, options.frames * 2 + 1);
    this.#lists = new Lists(this.blockOf.length, 3);
    this.#uses = new Uint8Array(this.blockOf.length);
    this.#smallMax = Math.floor(options.frames / 10);
    this.#ghostMax = options.frames - this.#smallMax;
  }

  access(block) {
    const lists = this.#lists;
    const there = this.nodeOf.get(block);
    if (there !== undefined && lists.list[there] !== GHOST) {
      if (this.#uses[there] < USES_MAX) this.#uses[there]++;
      return true;
    }
    while (lists.count[SMALL] + lists.count[MAIN] >= this.frames) this.#evict();
    const known = this.nodeOf.get(block);
    if (known !== undefined) {
      lists.moveTo(MAIN, known);
      this.#uses[known] = 0;
    } else {
      const node = this.take(block);
      this.#uses[node] = 0;
      lists.append(SMALL, node);
    }
    return false;
  }

  #evict() {
    const lists = this.#lists;
    const small = lists.first(SMALL, this.mayLeave);
    if (small >= 0 && (lists.count[SMALL] > this.#smallMax || lists.first(MAIN, this.mayLeave) < 0)) this.#leaveSmall(small);
    else this.#leaveMain();
  }

  #leaveSmall(node) {
    const lists = this.#lists;
    if (this.#uses[node] > 1) {
      this.#uses[node] = 0;
      lists.moveTo(MAIN, node);
      return;
    }
    lists.moveTo(GHOST, node);
    if (lists.count[GHOST] > this.#ghostMax) this.#drop(lists.head[GHOST]);
  }

  #leaveMain() {
    const lists = this.#lists;
    for (;;) {
      const node = lists.head[MAIN];
      if (this.#uses[node] === 0 && this.mayLeave(node)) {
        this.#drop(node);
        return;
      }
      if (this.#uses[node] > 0) this.#uses[node]--;
      lists.moveTo(MAIN, node);
    }
  }

  #drop(node) {
    this.#lists.remove(node);
    this.forget(node);
  }
}
