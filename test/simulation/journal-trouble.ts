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
  /** The array must say so at the next start that gets as far as to open the pool. */
  #mustBeLost = false;
  /** What it was at an earlier start; worth something from when a later one opened the pool. */
  #earlier: SimJournalState | undefined;
  #isEarlier = false;

  constructor(random: Random) {
    this.#random = random;
    this.#copy = random.between(0, 1);
  }

  /** Before the process starts: nothing has the files open. */
  beforeStart(media: TroubledMedia): void {
    const random = this.#random;
    const { journals } = media;
    let dice = random.next();
    // What an fdatasync failed for was acknowledged, as both had it in memory: only the other is sure to have it still.
    const isSure = !this.#isStale && journals[this.#copy]?.hasForsaken !== true;
    if (random.chance(0.5) && isSure && areInStep(media)) {
      // One that took no write any more, before anybody heard of it, is still good for all that was acknowledged.
      const isAlone = this.#mayBeLost && random.chance(0.6);
      this.#turnTo(isAlone ? 1 - this.#copy : random.between(0, 1), journals);
      if (isAlone) dice = 0;
    }
    if (dice < 0.12) this.#loses(media);
    else if (dice < 0.2 && this.#isEarlier) this.#goesBack(media);
    else if (dice < 0.4) this.#keep(journals[this.#copy]);
    const journal = journals[this.#copy];
    if (journal === undefined) return;
    const fails = random.chance(0.5);
    // The first failure is the last: most would be of a write, and those of syncs come while there is little to lose.
    const syncsLeft = fails && random.chance(0.6) ? random.between(0, 12) : Number.POSITIVE_INFINITY;
    journal.syncsLeft = syncsLeft;
    journal.failShare = fails && syncsLeft === Number.POSITIVE_INFINITY ? 0.3 * random.next() ** 2 : 0;
    if (fails) this.#mayBeLost = true;
  }

  /** The array says that a copy is lost: whether it has its cause here. */
  explains(event: { readonly message: string }): boolean {
    const copy = event.message.startsWith("the mirror") ? 1 : 0;
    if (copy !== this.#copy || !this.#mayBeLost) return false;
    this.#mustBeLost = false;
    return true;
  }

  /** The pool was opened, and has this on record. */
  opened({ journalCopies }: PoolDocument): string | undefined {
    this.#isEarlier = this.#earlier !== undefined;
    if (journalCopies?.every(({ state }) => state === "online") === true) this.#isStale = false;
    return this.#mustBeLost ? `copy ${this.#copy} of the journal is not what was left, and was taken for whole` : undefined;
  }

  /** The array says that a copy is whole again. */
  restored(journals: readonly (SimJournalState | undefined)[]): void {
    this.#isStale = false;
    this.#mayBeLost = journals[this.#copy]?.mayFail === true;
  }

  #turnTo(copy: number, journals: readonly (SimJournalState | undefined)[]): void {
    if (copy === this.#copy) return;
    for (const journal of journals) journal?.failsNoMore();
    this.#copy = copy;
    this.#mayBeLost = false;
    this.#earlier = undefined;
    this.#isEarlier = false;
  }

  #keep(journal: SimJournalState | undefined): void {
    this.#earlier = journal?.copy();
    this.#isEarlier = false;
  }

  #loses(media: TroubledMedia): void {
    media.journals[this.#copy] = undefined;
    this.#isNotWhatItWas(media);
  }

  #goesBack(media: TroubledMedia): void {
    media.journals[this.#copy] = this.#earlier!.copy();
    this.#isNotWhatItWas(media);
  }

  #isNotWhatItWas({ drives }: TroubledMedia): void {
    this.#isStale = true;
    this.#mayBeLost = true;
    // A journal that nothing is in is made anew.
    this.#mustBeLost = documentsOf(drives).every((document) => document?.journalLive === true);
  }
}

/** By every drive's word: also by that of one that is to be the only one next time. */
function areInStep({ drives }: TroubledMedia): boolean {
  return documentsOf(drives).every((document) => document?.journalCopies?.every(({ state }) => state === "online") === true);
}

function documentsOf(drives: readonly SimDriveState[]): (PoolDocument | undefined)[] {
  const values = drives.map(({ metadata }) => metadata.get(POOL_KEY)).filter((value) => value !== undefined);
  return values.map((value) => decodeDocument(value) as PoolDocument | undefined);
}
