/**
 * What must be on the drives after a power loss: for each sector, the newest write whose durability was promised, or any
 * that came after it.
 *
 * The load never has two commands under way for one block, so writes of a block are in the order of their sequences. What
 * a promise covers is known before its mark stands in the trace, so that replaying the trace's marks gives, at any point,
 * what hosts had been told by then. Findings:
 *
 *   lost      older than what was promised, or nothing
 *   stale     of a sequence that never wrote there, or that was superseded for sure before the trace began
 *   foreign, torn   of another place, unit or run; of two writes
 *   mix       an aligned 4 KiB block that no order of whole writes leaves
 */
import { FOUND, StampedData } from "../crash/sector-stamp.ts";

const BLOCK_SECTORS = 8;

type PowerLossKind = "lost" | "stale" | "foreign" | "torn" | "mix" | "refused";

export interface PowerLossFinding {
  readonly kind: PowerLossKind;
  readonly sector: number;
  readonly detail: string;
}

export interface DurableWrite {
  readonly sequence: number;
  readonly zeros: boolean;
  readonly firstSector: number;
  readonly sectors: number;
}

export class DurableHistory {
  readonly sectors: number;
  readonly seed: number;
  /** By sector, in order: sequence × 2, and 1 more for zeros. */
  readonly #writes: number[][];
  readonly #promises: (readonly DurableWrite[])[] = [];
  /** What was there for sure when the trace began. */
  #base: Uint32Array;
  #newest = 0;

  constructor(options: { sectors: number; seed: number }) {
    this.sectors = options.sectors;
    this.seed = options.seed;
    this.#base = new Uint32Array(this.sectors);
    this.#writes = Array.from({ length: this.sectors }, () => []);
  }

  /** A write is about to be sent. */
  begin(write: Omit<DurableWrite, "sequence">): DurableWrite {
    this.#newest += 1;
    const sequence = this.#newest;
    for (let n = 0; n < write.sectors; n++) this.#writes[write.firstSector + n]!.push(sequence * 2 + (write.zeros ? 1 : 0));
    return { ...write, sequence };
  }

  /** The array would not take it: it never happened. */
  refused({ firstSector, sectors, sequence }: DurableWrite): void {
    for (let sector = firstSector; sector < firstSector + sectors; sector++) {
      this.#writes[sector] = this.#writes[sector]!.filter((write) => Math.floor(write / 2) !== sequence);
    }
  }

  /** The host was told that these are durable. @returns what its mark says */
  promise(writes: readonly DurableWrite[]): string {
    this.#promises.push(writes);
    return `promise-${this.#promises.length - 1}`;
  }

  /** Zeros have no stamp that says whose they are: their mark stands in the trace before they are sent. */
  static sending({ sequence }: DurableWrite): string {
    return `zeros-${sequence}`;
  }

  /** What is required while the trace is replayed; promises are taken one by one with their marks. */
  replay(): DurableReplay {
    return new DurableReplay(this, this.#base, this.#promises);
  }

  /**
   * After a power loss: what was found is what there is. The array has read it from its files, so it can't be lost any more.
   * @param found - by sector the sequence, 0 for zeros that nobody wrote
   */
  settle(found: Uint32Array): void {
    this.#base = found;
    this.#promises.length = 0;
    this.#writes.forEach((writes, sector) => {
      const kept = writes.filter((write) => Math.floor(write / 2) === found[sector]);
      this.#writes[sector] = kept;
    });
  }

  /** What was sent for a sector, for a report: "z" marks zeros. */
  describe(sector: number): string {
    return this.#writes[sector]!.map((write) => `${Math.floor(write / 2)}${write % 2 === 1 ? "z" : ""}`).join(" ");
  }

  writesOf(sector: number): readonly number[] {
    return this.#writes[sector]!;
  }
}

export class DurableReplay {
  readonly #history: DurableHistory;
  readonly #base: Uint32Array;
  readonly #floor: Uint32Array;
  readonly #promises: readonly (readonly DurableWrite[])[];
  /** Sequences of the zeros that were sent by now. */
  readonly #zeros = new Set<number>();
  promisesTaken = 0;

  constructor(history: DurableHistory, base: Uint32Array, promises: readonly (readonly DurableWrite[])[]) {
    this.#history = history;
    this.#base = base;
    this.#floor = base.slice();
    this.#promises = promises;
  }

  mark(text: string): void {
    const number = Number(text.slice(text.indexOf("-") + 1));
    if (text.startsWith("zeros-")) this.#zeros.add(number);
    else if (text.startsWith("promise-")) this.#take(this.#promises[number]!);
    else throw new Error(`a mark in the trace says ${text}`);
  }

  #take(writes: readonly DurableWrite[]): void {
    this.promisesTaken += 1;
    for (const { firstSector, sectors, sequence } of writes) {
      for (let n = firstSector; n < firstSector + sectors; n++) this.#floor[n] = Math.max(this.#floor[n]!, sequence);
    }
  }

  /** @param data - the whole unit, from sector 0 */
  check(data: Buffer, findingsMax: number): { readonly findings: PowerLossFinding[]; readonly found: Uint32Array } {
    const stamps = new StampedData(data, { lun: 0, seed: this.#history.seed, firstSector: 0 });
    const found = new Uint32Array(this.#history.sectors);
    const findings: PowerLossFinding[] = [];
    for (let sector = 0; sector < found.length && findings.length < findingsMax; sector++) {
      const finding = this.#judge(stamps, sector, found);
      if (finding !== undefined) findings.push(finding);
    }
    for (let sector = 0; sector < found.length && findings.length < findingsMax; sector += BLOCK_SECTORS) {
      const finding = this.#judgeBlock(found, sector);
      if (finding !== undefined) findings.push(finding);
    }
    return { findings, found };
  }

  #judge(stamps: StampedData, sector: number, found: Uint32Array): PowerLossFinding | undefined {
    const kind = stamps.kind(sector);
    const floor = this.#floor[sector]!;
    if (kind === FOUND.torn || kind === FOUND.foreign) {
      return { kind: kind === FOUND.torn ? "torn" : "foreign", sector, detail: stamps.describe(sector) };
    }
    const writes = this.#history.writesOf(sector);
    if (kind === FOUND.zero) {
      // Of several zeros the newest explains most. Those of before the trace are kept by `settle` only if they were found.
      const sent = writes.findLast((write) => write % 2 === 1 && this.#isSent(Math.floor(write / 2), sector));
      const newest = Math.floor((sent ?? 0) / 2);
      found[sector] = newest;
      if (newest >= floor) return undefined;
      return { kind: "lost", sector, detail: `zeros, promised was ${floor} of ${this.#history.describe(sector)}` };
    }
    const sequence = stamps.sequence(sector);
    found[sector] = sequence;
    if (!writes.includes(sequence * 2)) return { kind: "stale", sector, detail: `sequence ${sequence} was not written there` };
    return sequence >= floor
      ? undefined
      : { kind: "lost", sector, detail: `sequence ${sequence}, promised was ${floor} of ${this.#history.describe(sector)}` };
  }

  #isSent(sequence: number, sector: number): boolean {
    return this.#zeros.has(sequence) || this.#base[sector] === sequence;
  }

  /** There must be one moment at which the block looked so: each sector has its newest write up to the block's newest. */
  #judgeBlock(found: Uint32Array, first: number): PowerLossFinding | undefined {
    let newest = 0;
    let hasZeros = false;
    for (let n = first; n < first + BLOCK_SECTORS; n++) {
      newest = Math.max(newest, found[n]!);
      hasZeros ||= this.#history.writesOf(n).includes(found[n]! * 2 + 1);
    }
    // Which of several zeros it was can't be seen: such a block is judged by its sectors alone.
    if (hasZeros) return undefined;
    for (let n = first; n < first + BLOCK_SECTORS; n++) {
      const expected = this.#history.writesOf(n).findLast((write) => write < newest * 2 + 2) ?? 0;
      if (Math.floor(expected / 2) === found[n]) continue;
      const detail = `has sequence ${found[n]} beside ${newest} in its block, which came after ${Math.floor(expected / 2)}`;
      return { kind: "mix", sector: n, detail };
    }
    return undefined;
  }
}
