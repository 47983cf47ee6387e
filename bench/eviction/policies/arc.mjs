/** ARC (Megiddo and Modha, FAST 2003). */
import { Lists } from "../lists.mjs";
import { Policy } from "./policy.mjs";

const T1 = 0;
const T2 = 1;
const B1 = 2;
const B2 = 3;

export class Arc extends Policy {
  static bytesPerFrame = 22; // links and list for two frames, the key of the one that is remembered
  #lists;
  /** Target size of T1. */
  #target = 0;

  constructor(options) {
    super(options, options.frames * 2 + 1);
    this.#lists = new Lists(this.blockOf.length, 4);
  }

  access(block) {
    const lists = this.#lists;
    const { count } = lists;
    const there = this.nodeOf.get(block);
    const list = there === undefined ? -1 : lists.list[there];
    if (list === T1 || list === T2) {
      lists.moveTo(T2, there);
      return true;
    }
    if (list === B1 || list === B2) {
      const step = list === B1 ? Math.max(1, count[B2] / count[B1]) : -Math.max(1, count[B1] / count[B2]);
      this.#target = Math.min(this.frames, Math.max(0, this.#target + step));
      this.#replace(list === B2);
      lists.moveTo(T2, there);
      return false;
    }
    this.#makeRoom();
    lists.append(T1, this.take(block));
    return false;
  }

  /** Case IV: a block that nobody remembers. */
  #makeRoom() {
    const { count, head } = this.#lists;
    const total = count[T1] + count[T2] + count[B1] + count[B2];
    if (count[T1] + count[B1] >= this.frames && count[B1] > 0) {
      this.#drop(head[B1]);
      this.#replace(false);
    } else if (total >= this.frames) {
      if (total >= this.frames * 2) this.#drop(count[B2] > 0 ? head[B2] : head[B1]);
      this.#replace(false);
    }
  }

  #replace(inB2) {
    const lists = this.#lists;
    const { count } = lists;
    if (count[T1] + count[T2] < this.frames) return;
    const first = lists.first(T1, this.mayLeave);
    const second = lists.first(T2, this.mayLeave);
    const preferFirst = count[T1] > 0 && (count[T1] > this.#target || (inB2 && count[T1] === Math.floor(this.#target)));
    if (first >= 0 && (preferFirst || second < 0)) lists.moveTo(B1, first);
    else lists.moveTo(B2, second);
  }

  #drop(node) {
    this.#lists.remove(node);
    this.forget(node);
  }
}
