/**
 * What was written to one LUN, in which order as far as an initiator can know it, and what a read may find.
 *
 * Every operation has the moment it was sent and the moment its answer came. Between operations that overlap in time any
 * order is right; one that was answered before another was sent comes first. From that follows, for each sector:
 *
 *  1. A sector holds what one operation left there: never torn, never of another place, unit or run.
 *  2. What it holds is not superseded: no operation that was acknowledged (or seen) came after it for certain.
 *  3. What a reader saw is not followed by anything that was there before for certain.
 *  4. The sectors of an aligned 4 KiB block fit together: some order of whole operations leaves exactly them.
 *
 * A moment is a count of events, not a time.
 */
import { FOUND, StampedData } from "./sector-stamp.ts";

export const BLOCK_SECTORS = 8;

export type OperationKind = "write" | "same" | "zero";

export interface Operation {
  readonly kind: OperationKind;
  readonly sequence: number;
  readonly firstSector: number;
  readonly sectors: number;
  readonly sentAt: number;
  /** Infinity as long as no answer came. */
  answeredAt: number;
  /** Sectors of it that a read saw before its answer came, and when. */
  seen: Map<number, number> | undefined;
}

/** "unreachable": the LUN does not come back; all that was in it is out of reach. */
export type ViolationKind = "lost" | "torn" | "foreign" | "mix" | "disappeared" | "unreachable";

export interface Violation {
  readonly kind: ViolationKind;
  readonly lun: number;
  readonly sector: number;
  readonly detail: string;
}

interface Seen {
  readonly operation: Operation;
  readonly askedAt: number;
  readonly answeredAt: number;
}

const ALWAYS = -1;

export class WriteHistory {
  readonly lun: number;
  readonly seed: number;
  readonly sectors: number;
  /** What each sector held when this history began: a sequence, or 0 for zeros. */
  #base: Uint32Array;
  /** Since then, by block. */
  #operations = new Map<number, Operation[]>();
  /** The youngest thing that a read saw, by sector. */
  #seen = new Map<number, Seen>();
  #moment = 0;
  readonly #baseOperation: Operation;

  constructor(options: { lun: number; seed: number; sectors: number }) {
    this.lun = options.lun;
    this.seed = options.seed;
    this.sectors = options.sectors;
    this.#base = new Uint32Array(options.sectors);
    this.#baseOperation = {
      kind: "write",
      sequence: 0,
      firstSector: 0,
      sectors: options.sectors,
      sentAt: ALWAYS,
      answeredAt: ALWAYS,
      seen: undefined,
    };
  }

  now(): number {
    this.#moment += 1;
    return this.#moment;
  }

  /** Call right before it is sent. */
  begin(kind: OperationKind, sequence: number, firstSector: number, sectors: number): Operation {
    const operation: Operation = {
      kind,
      sequence,
      firstSector,
      sectors,
      sentAt: this.now(),
      answeredAt: Number.POSITIVE_INFINITY,
      seen: undefined,
    };
    for (const block of blocksOf(operation)) {
      const list = this.#operations.get(block);
      if (list === undefined) this.#operations.set(block, [operation]);
      else list.push(operation);
    }
    return operation;
  }

  acknowledged(operation: Operation): void {
    operation.answeredAt = this.now();
  }

  /** The array said that it did nothing (BUSY, TASK SET FULL). */
  refused(operation: Operation): void {
    for (const block of blocksOf(operation)) {
      const list = this.#operations.get(block)!;
      list.splice(list.indexOf(operation), 1);
    }
  }

  /** Blocks that some operation of this history touched. */
  get touchedBlocks(): number {
    return this.#operations.size;
  }

  /**
   * Judges what a read returned.
   * @param askedAt - the moment before the read was sent
   */
  check(data: Buffer, firstSector: number, askedAt: number): Violation[] {
    const answeredAt = this.now();
    const found = new StampedData(data, { lun: this.lun, seed: this.seed, firstSector });
    const end = firstSector + data.length / 512;
    const violations: Violation[] = [];
    for (let sector = firstSector; sector < end; ) {
      const blockEnd = Math.min(end, (Math.floor(sector / BLOCK_SECTORS) + 1) * BLOCK_SECTORS);
      this.#checkBlock({ found, firstSector, sector, blockEnd, askedAt, answeredAt }, violations);
      sector = blockEnd;
    }
    return violations;
  }

  /** What was read of the whole LUN is what this history goes on from: everything before is decided. */
  settle(sequences: Uint32Array): void {
    this.#base = sequences;
    this.#operations = new Map();
    this.#seen = new Map();
    this.#moment = 0;
  }

  #checkBlock(read: BlockRead, violations: Violation[]): void {
    const { sector } = read;
    const operations = this.#operations.get(Math.floor(sector / BLOCK_SECTORS));
    if (operations === undefined && this.#isBase(read)) return;
    this.#checkTouched(read, operations ?? [], violations);
  }

  /** Whether nothing is found but what was there before: the quick way for most blocks of a whole LUN. */
  #isBase({ found, firstSector, sector, blockEnd }: BlockRead): boolean {
    for (let at = sector; at < blockEnd; at++) {
      const index = at - firstSector;
      const kind = found.kind(index);
      if (kind !== FOUND.stamp && kind !== FOUND.zero) return false;
      if (this.#base[at] !== (kind === FOUND.zero ? 0 : found.sequence(index))) return false;
    }
    return true;
  }

  #checkTouched(read: BlockRead, operations: readonly Operation[], violations: Violation[]): void {
    const { found, firstSector, sector, blockEnd, askedAt, answeredAt } = read;
    const visible: (Operation | undefined)[] = [];
    let isBase = true;
    for (let at = sector; at < blockEnd; at++) {
      const index = at - firstSector;
      const kind = found.kind(index);
      if (kind === FOUND.torn || kind === FOUND.foreign) {
        violations.push(this.#violation(kind === FOUND.torn ? "torn" : "foreign", at, found.describe(index)));
        return;
      }
      const candidates = this.#candidates(operations, found, index, at);
      const valid = candidates.filter((candidate) => this.#objection(operations, candidate, at, askedAt) === undefined);
      if (valid.length === 0) {
        violations.push(this.#unfit(operations, candidates, { found, index, sector: at, askedAt }));
        return;
      }
      // Zeros of several operations look alike: then it is not known whose they are.
      const one = valid.length === 1 ? valid[0] : undefined;
      visible.push(one);
      if (one !== this.#baseOperation) isBase = false;
      if (one !== undefined) this.#remember(one, at, askedAt, answeredAt);
    }
    if (isBase) return;
    const mix = findMix(visible, sector);
    if (mix !== undefined) violations.push(this.#violation("mix", sector, mix));
  }

  /** Operations that leave what was found. */
  #candidates(operations: readonly Operation[], found: StampedData, index: number, sector: number): Operation[] {
    const isZero = found.kind(index) === FOUND.zero;
    const sequence = isZero ? 0 : found.sequence(index);
    const candidates = this.#base[sector] === sequence ? [this.#baseOperation] : [];
    for (const operation of operations) {
      if (!covers(operation, sector)) continue;
      if (isZero ? operation.kind === "zero" : operation.kind !== "zero" && operation.sequence === sequence)
        candidates.push(operation);
    }
    return candidates;
  }

  /** Why a sector can't hold what `candidate` left, at a read that was sent at `askedAt`. */
  #objection(operations: readonly Operation[], candidate: Operation, sector: number, askedAt: number): Objection | undefined {
    const candidateDone = doneAt(candidate, sector);
    for (const other of operations) {
      if (other === candidate || other.sentAt < candidateDone || !covers(other, sector)) continue;
      if (doneAt(other, sector) < askedAt) return { kind: "lost", by: other };
    }
    const seen = this.#seen.get(sector);
    // A read that was under way beside the one that saw it may have been served before.
    if (seen === undefined || seen.answeredAt > askedAt) return undefined;
    if (seen.operation === candidate || candidateDone >= seen.askedAt) return undefined;
    return { kind: "disappeared", by: seen.operation };
  }

  #unfit(operations: readonly Operation[], candidates: readonly Operation[], at: SectorRead): Violation {
    const { found, index, sector, askedAt } = at;
    const what = found.kind(index) === FOUND.zero ? "zeros" : found.describe(index);
    const covering = operations.filter((operation) => covers(operation, sector)).map(print);
    const history = `before: sequence ${this.#base[sector]}; since: ${covering.join("; ") || "nothing"}`;
    if (candidates.length === 0) return this.#violation("lost", sector, `${what}, which nothing left here; ${history}`);
    const { kind, by } = this.#objection(operations, candidates.at(-1)!, sector, askedAt)!;
    return this.#violation(kind, sector, `${what}, but asked at ${askedAt} and ${print(by)} came after it; ${history}`);
  }

  #remember(operation: Operation, sector: number, askedAt: number, answeredAt: number): void {
    if (operation === this.#baseOperation) return;
    if (operation.answeredAt > answeredAt) {
      operation.seen ??= new Map();
      if (!operation.seen.has(sector)) operation.seen.set(sector, answeredAt);
    }
    const seen = this.#seen.get(sector);
    if (seen === undefined || seen.askedAt < askedAt) this.#seen.set(sector, { operation, askedAt, answeredAt });
  }

  #violation(kind: ViolationKind, sector: number, detail: string): Violation {
    return { kind, lun: this.lun, sector, detail };
  }
}

interface BlockRead {
  readonly found: StampedData;
  readonly firstSector: number;
  readonly sector: number;
  readonly blockEnd: number;
  readonly askedAt: number;
  readonly answeredAt: number;
}

interface SectorRead {
  readonly found: StampedData;
  readonly index: number;
  readonly sector: number;
  readonly askedAt: number;
}

interface Objection {
  readonly kind: "lost" | "disappeared";
  readonly by: Operation;
}

function* blocksOf(operation: Operation): Iterable<number> {
  const last = Math.floor((operation.firstSector + operation.sectors - 1) / BLOCK_SECTORS);
  for (let block = Math.floor(operation.firstSector / BLOCK_SECTORS); block <= last; block++) yield block;
}

function covers({ firstSector, sectors }: Operation, sector: number): boolean {
  return sector >= firstSector && sector < firstSector + sectors;
}

/** The moment by which an operation had certainly happened to a sector. */
function doneAt(operation: Operation, sector: number): number {
  return Math.min(operation.answeredAt, operation.seen?.get(sector) ?? Number.POSITIVE_INFINITY);
}

/** Looks for an order of the visible operations that leaves just what is visible; says so when there is none. */
function findMix(visible: readonly (Operation | undefined)[], firstSector: number): string | undefined {
  const nodes = [...new Set(visible)].filter((operation) => operation !== undefined);
  const before = (a: Operation, b: Operation): boolean =>
    a !== b && (a.answeredAt < b.sentAt || visible.some((shown, n) => shown === b && covers(a, firstSector + n)));
  const left = new Set(nodes);
  while (left.size > 0) {
    const next = [...left].find((node) => ![...left].some((other) => before(other, node)));
    if (next === undefined) return `no order of whole operations leaves these: ${[...left].map(print).join("; ")}`;
    left.delete(next);
  }
  return undefined;
}

function print({ kind, sequence, firstSector, sectors, answeredAt, sentAt }: Operation): string {
  const state = answeredAt === Number.POSITIVE_INFINITY ? "not answered" : `answered at ${answeredAt}`;
  return sentAt === ALWAYS
    ? "what was there before"
    : `${kind} ${sequence} (sectors ${firstSector} + ${sectors}, sent at ${sentAt}, ${state})`;
}
