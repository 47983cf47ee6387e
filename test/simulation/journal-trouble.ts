/**
 * What becomes of a journal that is kept in two copies. One of them at a time fails, is gone, or is what it was at an earlier
 * start; once both are in step again, by what the drives have on record, it may be the other one's turn: each then has all
 * that was acknowledged. The one whose turn it is not must never be said to be lost.
 *
 * A journal in one file has no trouble: what it loses nobody can make good.
 */
import { decodeDocument } from "../../src/map/metadata-store.ts";
import { POOL_KEY, type PoolDocument } from "../../src/volume/pool-document.ts";
import type { Random } from "../support/random.ts";
import type { SimDriveState } from "./sim-drive.ts";
import type { SimJournalState } from "./sim-journal.ts";

interface TroubledMedia {
  readonly drives: readonly SimDriveState[];
  readonly journals: (SimJournalState | undefined)[];
}

export class JournalTrouble {
  readonly #random: Random;
  /** Whose turn it is. */
  #copy: number;
  /** The array may say that it is lost. */
  #mayBeLost = false;
  /** It is not what the array left: until the array says that it is whole again. */
  #isStale = false;
  /** What it was at an earlier start. */
  #earlier: (() => void) | undefined;

  constructor(random: Random) {
    this.#random = random;
    this.#copy = random.between(0, 1);
  }

  /** Before the process starts: nothing has the files open. */
  beforeStart(media: TroubledMedia): void {
    const random = this.#random;
    const { journals } = media;
    if (random.chance(0.4) && !this.#isStale && areInStep(media)) this.#turnTo(random.between(0, 1), journals);
    const dice = random.next();
    if (dice < 0.12) this.#loses(journals);
    else if (dice < 0.2 && this.#earlier !== undefined) this.#goesBack();
    else if (dice < 0.4) this.#earlier = journals[this.#copy]?.snapshot();
    const journal = journals[this.#copy];
    if (journal === undefined) return;
    journal.failShare = random.chance(0.3) ? 0.3 * random.next() ** 2 : 0;
    if (journal.failShare > 0) this.#mayBeLost = true;
  }

  /** Whether an event of the array's about a copy has its cause here. */
  explains(event: { readonly type: string; readonly message: string }): boolean {
    const copy = event.message.startsWith("the mirror") ? 1 : 0;
    return copy === this.#copy && this.#mayBeLost;
  }

  /** The array says that a copy is whole again. */
  restored(journals: readonly (SimJournalState | undefined)[]): void {
    this.#isStale = false;
    this.#mayBeLost = (journals[this.#copy]?.failShare ?? 0) > 0;
  }

  #turnTo(copy: number, journals: readonly (SimJournalState | undefined)[]): void {
    if (copy === this.#copy) return;
    for (const journal of journals) if (journal !== undefined) journal.failShare = 0;
    this.#copy = copy;
    this.#mayBeLost = false;
    this.#earlier = undefined;
  }

  #loses(journals: (SimJournalState | undefined)[]): void {
    journals[this.#copy] = undefined;
    this.#isStale = true;
    this.#mayBeLost = true;
  }

  #goesBack(): void {
    this.#earlier!();
    this.#isStale = true;
    this.#mayBeLost = true;
  }
}

/** By every drive's word: also by that of one that is to be the only one next time. */
function areInStep({ drives }: TroubledMedia): boolean {
  return drives.every(({ metadata }) => {
    const value = metadata.get(POOL_KEY);
    if (value === undefined) return true;
    const document = decodeDocument(value) as PoolDocument | undefined;
    return document?.journalCopies?.every(({ state }) => state === "online") === true;
  });
}
