/** 2Q, full version (Johnson and Shasha, VLDB 1994): Kin 25 %, Kout 50 %. */
import { Lists } from "../lists.mjs";
import { Policy } from "./policy.mjs";

const IN = 0;
const OUT = 1;
const MAIN = 2;

export class TwoQ extends Policy {
  static bytesPerFrame = 15; // links and list, and the same and the key for half a frame that is remembered
  #lists;
  #inMax;
  #outMax;

  constructor(options) {
    super(options, Math.floor(options.frames * 1.5) + 1);
    this.#lists = new Lists(this.blockOf.length, 3);
    this.#inMax = Math.floor(options.frames / 4);
    this.#outMax = Math.floor(options.frames / 2);
  }

  access(block) {
    const lists = this.#lists;
    const there = this.nodeOf.get(block);
    const list = there === undefined ? -1 : lists.list[there];
    if (list === MAIN) lists.moveTo(MAIN, there);
    if (list === MAIN || list === IN) return true;
    if (lists.count[IN] + lists.count[MAIN] >= this.frames) this.#evict();
    // The eviction may have pushed the block out of what is remembered.
    const known = this.nodeOf.get(block);
    if (known !== undefined) lists.moveTo(MAIN, known);
    else lists.append(IN, this.take(block));
    return false;
  }

  #evict() {
    const lists = this.#lists;
    const fromIn = lists.first(IN, this.mayLeave);
    const fromMain = lists.first(MAIN, this.mayLeave);
    if (fromIn >= 0 && (lists.count[IN] > this.#inMax || fromMain < 0)) {
      lists.moveTo(OUT, fromIn);
      if (lists.count[OUT] > this.#outMax) this.#drop(lists.head[OUT]);
    } else this.#drop(fromMain);
  }

  #drop(node) {
    this.#lists.remove(node);
    this.forget(node);
  }
}
