/**
 * Which frames are free, in groups of 16 neighbours: what is taken together lies together.
 *
 * Data in one stretch is looked up, checked and sent as one, so a large request gets whole groups. A single frame comes from a
 * group that is broken already: a random writer, who gives back one frame for each that it takes, leaves whole groups alone.
 *
 *   whole (all 16 free) ──a frame is taken──▶ broken ──the last is taken──▶ in no list
 *         ▲                                     │  ▲                            │
 *         └──────the last comes back────────────┘  └───one comes back───────────┘
 *
 * Runs on: the director's thread. Owns: which frames of the director's chunks are free.
 * Invariants:
 *  1. A group is in the list that its free frames say, or in none when it has none.
 *  2. Every step is O(1), but for one look at each of the frames that are taken.
 */
export const GROUP_FRAMES = 16;
const ALL = 0xffff;
const NONE = -1;

/** Groups in the order in which they came, linked both ways through arrays that both lists share. */
class GroupList {
  head = NONE;
  tail = NONE;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;

  constructor(next: Int32Array, previous: Int32Array) {
    this.#next = next;
    this.#previous = previous;
  }

  append(group: number): void {
    this.#previous[group] = this.tail;
    this.#next[group] = NONE;
    if (this.tail >= 0) this.#next[this.tail] = group;
    else this.head = group;
    this.tail = group;
  }

  prepend(group: number): void {
    this.#previous[group] = NONE;
    this.#next[group] = this.head;
    if (this.head >= 0) this.#previous[this.head] = group;
    else this.tail = group;
    this.head = group;
  }

  remove(group: number): void {
    const before = this.#previous[group]!;
    const after = this.#next[group]!;
    if (before >= 0) this.#next[before] = after;
    else this.head = after;
    if (after >= 0) this.#previous[after] = before;
    else this.tail = before;
  }
}

export class FrameGroups {
  /** Bit n: frame n of the group is free. */
  readonly #free: Uint16Array;
  /** The oldest goes first: what left the cache in order is taken in order. */
  readonly #whole: GroupList;
  /** The youngest goes first: its frames are in the processor's cache. */
  readonly #broken: GroupList;
  #wholeCount = 0;
  #count = 0;

  constructor(frameCount: number) {
    const groups = Math.ceil(frameCount / GROUP_FRAMES);
    this.#free = new Uint16Array(groups);
    const next = new Int32Array(groups);
    const previous = new Int32Array(groups);
    this.#whole = new GroupList(next, previous);
    this.#broken = new GroupList(next, previous);
  }

  /** Free frames. */
  get count(): number {
    return this.#count;
  }

  /** Groups of which every frame is free. */
  get wholeCount(): number {
    return this.#wholeCount;
  }

  /** One frame, or −1. */
  takeOne(): number {
    const group = this.#broken.head >= 0 ? this.#broken.head : this.#whole.head;
    if (group < 0) return -1;
    const bits = this.#free[group]!;
    const bit = lowestBit(bits);
    this.#set(group, bits & ~(1 << bit));
    return group * GROUP_FRAMES + bit;
  }

  /** `count` frames, in rising stretches as long as there are; fewer only when there are no more. Returns how many. */
  take(count: number, out: Int32Array, at: number): number {
    let taken = 0;
    while (taken < count) {
      const left = count - taken;
      const got =
        left > 1 && this.#whole.head >= 0 ? this.#takeTogether(left, out, at + taken) : this.#takeSingle(out, at + taken);
      if (got === 0) break;
      taken += got;
    }
    return taken;
  }

  give(frame: number): void {
    const group = Math.floor(frame / GROUP_FRAMES);
    this.#set(group, this.#free[group]! | (1 << (frame % GROUP_FRAMES)));
  }

  /** Takes this frame, which is free, out of what can be taken. */
  withdraw(frame: number): void {
    const group = Math.floor(frame / GROUP_FRAMES);
    this.#set(group, this.#free[group]! & ~(1 << (frame % GROUP_FRAMES)));
  }

  #takeSingle(out: Int32Array, at: number): number {
    const frame = this.takeOne();
    if (frame < 0) return 0;
    out[at] = frame;
    return 1;
  }

  /** From a broken group that has so many side by side, or from a whole one. */
  #takeTogether(wanted: number, out: Int32Array, at: number): number {
    let group = this.#broken.head;
    if (group < 0 || wanted >= GROUP_FRAMES || !hasRun(this.#free[group]!, wanted)) group = this.#whole.head;
    const bits = this.#free[group]!;
    const first = lowestBit(bits);
    const count = Math.min(wanted, GROUP_FRAMES - first);
    for (let n = 0; n < count; n++) out[at + n] = group * GROUP_FRAMES + first + n;
    this.#set(group, bits & ~(((1 << count) - 1) << first));
    return count;
  }

  #set(group: number, bits: number): void {
    const before = this.#free[group]!;
    this.#free[group] = bits;
    this.#count += (bits > before ? 1 : -1) * bitCount(before ^ bits);
    if (before === ALL) {
      this.#whole.remove(group);
      this.#wholeCount -= 1;
    } else if (before !== 0 && (bits === 0 || bits === ALL)) this.#broken.remove(group);
    if (bits === ALL) {
      this.#whole.append(group);
      this.#wholeCount += 1;
    } else if (bits !== 0 && (before === 0 || before === ALL)) this.#broken.prepend(group);
  }
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}

/** Whether so many lie together from the lowest free one on: the rest of a whole group, or what went back together. */
function hasRun(bits: number, wanted: number): boolean {
  const run = (1 << wanted) - 1;
  return ((bits >>> lowestBit(bits)) & run) === run;
}

function bitCount(bits: number): number {
  let count = 0;
  for (let left = bits; left !== 0; left &= left - 1) count += 1;
  return count;
}
