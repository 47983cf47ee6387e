/**
 * What must outlive the owner of a logical unit, in global memory: who reserved it, and the unit attentions that each
 * nexus still has to be told. One row for each volume; its owner writes it before it answers, the next owner reads it.
 *
 * Runs on: directors. Owns: the table; a row's only writer is the owner of its volume.
 * Invariants:
 *  1. Every fact is one word, stored whole: an owner that stops between any two stores leaves facts, old or new, no mix.
 *  2. A row is empty when it is claimed, and again before it is given back.
 */
import type { GlobalMemory } from "./global-memory.ts";
import { LINE_BYTES, UNIT_ROW_BYTES, UNIT_ROWS } from "./layout.ts";

/** Word 0: volume + 1, 0 while the row is free. Word 1: nexus + 1 that holds the reservation. Then a word for each nexus. */
const ROW_WORD = { volume: 0, reservation: 1, nexuses: 2 } as const;
const ROW_WORDS = UNIT_ROW_BYTES / 4;
/** A nexus beyond them is not remembered: after a takeover it hears POWER ON, as one that the unit has not met. */
export const UNIT_NEXUSES_MAX = ROW_WORDS - ROW_WORD.nexuses;
/** Unit attentions of a nexus, below its number + 1. */
const ATTENTION_BITS = 9;
const ATTENTIONS_MAX = 2 ** ATTENTION_BITS - 1;
if (UNIT_ROW_BYTES % LINE_BYTES !== 0) throw new Error("invariant: rows of two volumes share a line");

/** Slot of a nexus that found no place. */
export const NO_SLOT = -1;

export interface UnitNexusFacts {
  readonly slot: number;
  readonly nexus: number;
  readonly attentions: number;
}

export class UnitRow {
  readonly #i32: Int32Array;
  readonly #word: number;

  constructor(i32: Int32Array, word: number) {
    this.#i32 = i32;
    this.#word = word;
  }

  /** Nexus that holds the reservation, or −1. */
  get reservation(): number {
    return Atomics.load(this.#i32, this.#word + ROW_WORD.reservation) - 1;
  }

  set reservation(nexus: number) {
    Atomics.store(this.#i32, this.#word + ROW_WORD.reservation, nexus + 1);
  }

  /** Remembers a nexus that the unit has met; returns its slot, or NO_SLOT. */
  add(nexus: number, attentions: number): number {
    for (let slot = 0; slot < UNIT_NEXUSES_MAX; slot += 1) {
      if (Atomics.load(this.#i32, this.#at(slot)) !== 0) continue;
      this.put(slot, nexus, attentions);
      return slot;
    }
    return NO_SLOT;
  }

  put(slot: number, nexus: number, attentions: number): void {
    if (slot === NO_SLOT) return;
    if (attentions > ATTENTIONS_MAX) throw new Error(`invariant: unit attentions ${attentions} don't fit`);
    Atomics.store(this.#i32, this.#at(slot), ((nexus + 1) << ATTENTION_BITS) | attentions);
  }

  remove(slot: number): void {
    if (slot !== NO_SLOT) Atomics.store(this.#i32, this.#at(slot), 0);
  }

  /** All nexuses that are remembered. */
  nexuses(): UnitNexusFacts[] {
    const found: UnitNexusFacts[] = [];
    for (let slot = 0; slot < UNIT_NEXUSES_MAX; slot += 1) {
      const word = Atomics.load(this.#i32, this.#at(slot));
      if (word !== 0) found.push({ slot, nexus: (word >>> ATTENTION_BITS) - 1, attentions: word & ATTENTIONS_MAX });
    }
    return found;
  }

  clear(): void {
    for (let word = ROW_WORD.reservation; word < ROW_WORDS; word += 1) Atomics.store(this.#i32, this.#word + word, 0);
  }

  /** Gives the row back: nothing may use it any more. */
  free(): void {
    this.clear();
    Atomics.store(this.#i32, this.#word + ROW_WORD.volume, 0);
  }

  #at(slot: number): number {
    return this.#word + ROW_WORD.nexuses + slot;
  }
}

export class UnitTable {
  readonly #i32: Int32Array;
  readonly #first: number;

  constructor(global: GlobalMemory) {
    this.#i32 = global.i32;
    this.#first = global.layout.unitStates / 4;
  }

  /** The row of a volume, claimed if there is none. Undefined when all are taken: then its state dies with its owner. */
  row(volume: number): UnitRow | undefined {
    const known = this.find(volume);
    if (known !== undefined) return known;
    for (let row = 0; row < UNIT_ROWS; row += 1) {
      const word = this.#wordOf(row);
      // Owners of other volumes claim at the same time.
      if (Atomics.load(this.#i32, word) === 0 && Atomics.compareExchange(this.#i32, word, 0, volume + 1) === 0)
        return new UnitRow(this.#i32, word);
    }
    return undefined;
  }

  find(volume: number): UnitRow | undefined {
    for (let row = 0; row < UNIT_ROWS; row += 1) {
      if (Atomics.load(this.#i32, this.#wordOf(row)) === volume + 1) return new UnitRow(this.#i32, this.#wordOf(row));
    }
    return undefined;
  }

  #wordOf(row: number): number {
    return this.#first + row * ROW_WORDS;
  }
}
