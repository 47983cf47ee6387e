/** SIEVE (Zhang et al., NSDI 2024): a queue that nobody moves in; a hand takes marks and evicts, from old to new. */
import { Lists } from "../lists.mjs";
import { Policy } from "./policy.mjs";

export class Sieve extends Policy {
  static bytesPerFrame = 9; // two links, a byte
  #lists = new Lists(this.frames, 1);
  #visited = new Uint8Array(this.frames);
  #hand = -1;

  access(block) {
    const there = this.nodeOf.get(block);
    if (there !== undefined) {
      this.#visited[there] = 1;
      return true;
    }
    if (this.freeCount === 0) this.#evict();
    const node = this.take(block);
    this.#visited[node] = 0;
    this.#lists.append(0, node);
    return false;
  }

  #evict() {
    const { next, head } = this.#lists;
    let node = this.#hand >= 0 ? this.#hand : head[0];
    while (this.#visited[node] === 1 || !this.mayLeave(node)) {
      this.#visited[node] = 0;
      node = next[node] >= 0 ? next[node] : head[0];
    }
    this.#hand = next[node];
    this.#lists.remove(node);
    this.forget(node);
  }
}
