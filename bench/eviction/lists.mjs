/**
 * Doubly linked lists over numbered nodes, in typed arrays: what the reference policies are made of.
 * A node is in one list at most; its head is what entered first.
 */
export class Lists {
  constructor(nodeCount, listCount) {
    this.next = new Int32Array(nodeCount);
    this.previous = new Int32Array(nodeCount);
    this.list = new Int8Array(nodeCount).fill(-1);
    this.head = new Int32Array(listCount).fill(-1);
    this.tail = new Int32Array(listCount).fill(-1);
    this.count = new Int32Array(listCount);
  }

  append(list, node) {
    const tail = this.tail[list];
    this.previous[node] = tail;
    this.next[node] = -1;
    if (tail >= 0) this.next[tail] = node;
    else this.head[list] = node;
    this.tail[list] = node;
    this.list[node] = list;
    this.count[list]++;
  }

  remove(node) {
    const list = this.list[node];
    const before = this.previous[node];
    const after = this.next[node];
    if (before >= 0) this.next[before] = after;
    else this.head[list] = after;
    if (after >= 0) this.previous[after] = before;
    else this.tail[list] = before;
    this.list[node] = -1;
    this.count[list]--;
  }

  moveTo(list, node) {
    this.remove(node);
    this.append(list, node);
  }

  /** The first node of a list that `may` leave, or −1. */
  first(list, may) {
    for (let node = this.head[list]; node >= 0; node = this.next[node]) if (may(node)) return node;
    return -1;
  }
}
