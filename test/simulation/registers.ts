/**
 * The model: every sector is a register, with the set of values that it may hold now (`live`) and after a power failure
 * (`durable`). What the array answers narrows the sets, and what it returns must be in them.
 *
 * A value is the request that left it there (0: never written). Requests are intervals of the order of events: `begun` when
 * the host sent it, `settled` when it was answered, or when its director died: then it is there or not, and that stays. A
 * value is gone for good once a request that began after it had settled is settled itself, or was read.
 *
 *   acknowledged, any crash but power     stays in `live`: nothing before it can come back
 *   read                                  the same: nothing that was read disappears
 *   FUA, or flushed after it was settled  the same in `durable`
 *   refused                               never in any of the two
 *   more drives were lost than the level   the block may be an error from then on, whatever it holds: until a request that
 *   makes good, and the block with them    covers it whole, and began after that, is acknowledged or read
 *
 * Invariant: no set is ever empty.
 */
import { SIM_SECTOR, stampWords } from "./stamp.ts";

export interface Write {
  readonly number: number;
  /** Leaves zeros: they don't say who wrote them. */
  readonly zero: boolean;
  readonly begun: number;
  settled: number;
  /** First sector and count, in spots (addresses.ts). */
  readonly first: number;
  readonly count: number;
  /** No request: the block may be lost since then. */
  readonly isLoss?: boolean;
}

const NEVER: Write = { number: 0, zero: true, begun: -1, settled: -1, first: 0, count: 0 };

interface Gone {
  readonly write: Write;
  readonly at: number;
}

const SECTORS_PER_BLOCK = 8;

export class Registers {
  readonly sectors: number;
  readonly #live: Write[][];
  readonly #durable: Write[][];
  /** Values that went while a read or a flush was under way: those may still mean them. */
  readonly #gone: (Gone[] | undefined)[];
  /** When the oldest read or flush under way began; Infinity: there is none. */
  oldestLook: () => number;
  /** For messages. */
  readonly #name: string;

  constructor(name: string, sectors: number, oldestLook: () => number) {
    this.#name = name;
    this.sectors = sectors;
    this.oldestLook = oldestLook;
    this.#live = Array.from({ length: sectors }, () => [NEVER]);
    this.#durable = Array.from({ length: sectors }, () => [NEVER]);
    this.#gone = new Array<Gone[] | undefined>(sectors);
  }

  begin(write: Write): void {
    for (let n = write.first; n < write.first + write.count; n++) {
      this.#live[n]!.push(write);
      this.#durable[n]!.push(write);
    }
  }

  /**
   * Too little is left of a block to make it of, from now on; `older`: of what is there without its newest write. Where that
   * was one of a part, memory has the rest, and the journal has not: with any crash the block may be lost.
   */
  lost(first: number, number: number, older: boolean): void {
    const loss: Write = {
      number: -number,
      zero: false,
      begun: number,
      settled: number,
      first,
      count: SECTORS_PER_BLOCK,
      isLoss: true,
    };
    const values = this.#live.slice(first, first + SECTORS_PER_BLOCK).flat();
    const isInJournal = older && values.every((write) => write.isLoss !== true && covers(write, first, first + loss.count - 1));
    for (let n = first; n < first + SECTORS_PER_BLOCK; n++) {
      for (const sets of isInJournal ? [this.#durable] : [this.#live, this.#durable])
        sets[n] = [...sets[n]!.filter(({ isLoss }) => isLoss !== true), loss];
    }
  }

  /** A request that began then was answered with a medium error at a sector. @returns what is wrong with that */
  unreadable(n: number, begun: number): string | undefined {
    const mayBe =
      this.#live[n]!.some(({ isLoss }) => isLoss) || this.#gone[n]?.some(({ write, at }) => write.isLoss && at > begun);
    return mayBe ? undefined : `${this.#at(n)} can't be read, and is not lost`;
  }

  /** GOOD for a write. `durably`: it had FUA, or its volume writes through. */
  acknowledged(write: Write, at: number, durably: boolean): void {
    write.settled = at;
    for (let n = write.first; n < write.first + write.count; n++) {
      const stays = (other: Write): boolean => other === write || other.settled >= write.begun || !heals(write, other);
      this.#keep(this.#live, n, at, stays);
      if (durably) this.#keepDurable(n, stays);
    }
  }

  /** The array said that it did not do it. @returns what is wrong with that */
  refused(write: Write, at: number): string | undefined {
    write.settled = at;
    for (let n = write.first; n < write.first + write.count; n++) {
      const live = this.#live[n]!.filter((other) => other !== write);
      if (live.length === 0) return `${this.#at(n)} was read with the value of request ${write.number}, which was refused`;
      this.#live[n] = live;
      this.#durable[n] = this.#durable[n]!.filter((other) => other !== write);
    }
    return undefined;
  }

  /** A flush that began then has ended: what could not be there any more at that time can't come back by any crash. */
  flushed(begun: number): void {
    for (let n = 0; n < this.sectors; n++) {
      const durable = this.#durable[n]!;
      if (durable.length === 1) continue;
      this.#keepDurable(n, (other) => this.#live[n]!.includes(other) || this.#wentAfter(n, other, begun));
    }
  }

  /** The director died with this write unanswered. */
  abandoned(write: Write, at: number): void {
    write.settled = Math.min(write.settled, at);
  }

  powerFailed(): void {
    for (let n = 0; n < this.sectors; n++) this.#live[n] = [...this.#durable[n]!];
  }

  /** Right after a power failure everything was read, and nothing written since: all there is came from the media. */
  allDurable(): void {
    for (let n = 0; n < this.sectors; n++) this.#durable[n] = [...this.#live[n]!];
  }

  get certain(): number {
    let certain = 0;
    for (const values of this.#live) if (values.length === 1) certain += 1;
    return certain;
  }

  /**
   * What a read that took from `begun` to `at` returned, from word `word` of `words` on.
   * @returns what is wrong with it
   */
  read(look: { first: number; count: number; begun: number; at: number }, words: Int32Array, word: number): string | undefined {
    const { first, count, begun, at } = look;
    const found: (Write | undefined)[] = [];
    for (let n = first; n < first + count; n++) {
      const number = stampWords.read(words, word + (n - first) * (SIM_SECTOR / 4), this.#name, n);
      if (typeof number === "string") return `${this.#at(n)} ${number}`;
      const problem = this.#seen(n, number, begun, at, found);
      if (problem !== undefined) return problem;
    }
    return this.#blocksAreWhole(first, found);
  }

  #seen(n: number, number: number, begun: number, at: number, found: (Write | undefined)[]): string | undefined {
    const live = this.#live[n]!;
    if (live.length === 1 && live[0]!.number === number) {
      found.push(live[0]);
      return undefined;
    }
    const means = (write: Write): boolean => (number === 0 ? write.zero : write.number === number);
    const candidates = live.filter(means);
    // Zeros don't say whose they are: they may be what was there before, when the read began.
    if (this.#gone[n]?.some(({ write, at }) => at > begun && means(write))) {
      found.push(undefined);
      return undefined;
    }
    if (candidates.length === 0) {
      found.push(undefined);
      return `${this.#at(n)} holds ${number}, may hold ${live.map((write) => write.number).join(" or ")}`;
    }
    const sure = candidates.length === 1 ? candidates[0] : undefined;
    found.push(sure);
    // What had settled before the read began and was not seen is no more.
    this.#keep(
      this.#live,
      n,
      at,
      (other) =>
        candidates.includes(other) ||
        (other.isLoss && (sure === undefined || !heals(sure, other) || other.settled >= sure.begun)) ||
        (other.settled >= begun && (sure === undefined || other.settled >= sure.begun)),
    );
    return undefined;
  }

  /** Of two requests that both cover two sectors of a block, one was later in both. */
  #blocksAreWhole(first: number, found: readonly (Write | undefined)[]): string | undefined {
    for (let at = 0; at < found.length; ) {
      const end = Math.min(found.length, at + SECTORS_PER_BLOCK - ((first + at) % SECTORS_PER_BLOCK));
      for (let a = at; a < end; a++) {
        for (let b = a + 1; b < end; b++) {
          const [one, other] = [found[a], found[b]];
          if (one === other || one === undefined || other === undefined) continue;
          if (covers(one, first + a, first + b) && covers(other, first + a, first + b)) {
            return `${this.#at(first + a)} is of request ${one.number}, sector ${first + b} of the same block of request ${other.number}: torn`;
          }
        }
      }
      at = end;
    }
    return undefined;
  }

  #keep(sets: Write[][], n: number, at: number, stays: (write: Write) => boolean): void {
    const set = sets[n]!;
    if (set.length === 1) return;
    const kept = set.filter(stays);
    if (kept.length === set.length) return;
    if (this.oldestLook() < Number.POSITIVE_INFINITY) {
      const gone = this.#gone[n] ?? [];
      this.#gone[n] = gone;
      const oldest = this.oldestLook();
      while (gone.length > 0 && gone[0]!.at < oldest) gone.shift();
      for (const write of set) if (!kept.includes(write)) gone.push({ write, at });
    }
    sets[n] = kept;
  }

  #keepDurable(n: number, stays: (write: Write) => boolean): void {
    const kept = this.#durable[n]!.filter(stays);
    if (kept.length > 0) this.#durable[n] = kept;
  }

  #wentAfter(n: number, write: Write, begun: number): boolean {
    return this.#gone[n]?.some((gone) => gone.write === write && gone.at > begun) ?? false;
  }

  #at(n: number): string {
    return `${this.#name} sector ${n}`;
  }
}

/** Whether nothing is left of what `other` was once `write` is there: of a block that is lost a part can't be written. */
function heals(write: Write, other: Write): boolean {
  return other.isLoss !== true || covers(write, other.first, other.first + other.count - 1);
}

function covers(write: Write, a: number, b: number): boolean {
  return a >= write.first && b < write.first + write.count;
}
