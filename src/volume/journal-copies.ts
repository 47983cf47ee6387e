/**
 * The journal of a pool as it is opened: one file, or two that hold the same. Says which may be trusted, keeps on record
 * which missed writes, and makes whole the one that did.
 *
 *   document says which copies were in step ─▶ each must be this journal, of the last owner's epoch ─▶ the newest is the truth
 *     ─▶ claimed for the new epoch ─▶ document ─▶ recovery ─▶ the others made whole ─▶ document
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. A copy that is on record as lost, is another journal, or has an older owner is never read.
 *  2. Nothing is written to a copy that is not in step before the document says that it is lost.
 *  3. A loss is on record before anything is acknowledged that the lost copy has not (mirrored-journal-file.ts).
 */
import { type JournalFile, JournalFileError } from "../../drivers/journal-file/journal-file.ts";
import { MirroredJournalFile } from "../../drivers/journal-file/mirrored-journal-file.ts";
import { Journal } from "../journal/journal.ts";
import { JournalError, newestSuperblock, refuseForeignJournal } from "../journal/journal-reader.ts";
import type { JournalCopyDocument, PoolDocument } from "./pool-document.ts";
import { type JournalBay, type OpenPoolOptions, PoolRefusedError } from "./pool-members.ts";
import type { PoolRecord } from "./pool-record.ts";
import { breathe } from "./runtime.ts";

const NAMES = ["journal", "mirror of the journal"] as const;

interface Copy {
  readonly file: JournalFile | undefined;
  /** Undefined: in step as far as its head tells. */
  reason: string | undefined;
  ownerEpoch: number;
  counter: number;
}

export class JournalCopies {
  readonly journalId: string;
  readonly file: JournalFile;
  readonly #options: OpenPoolOptions;
  /** Undefined: a journal that never had a mirror. */
  #states: JournalCopyDocument[] | undefined;
  #record: PoolRecord | undefined;
  /** Losses that came before there was a record to put them on. */
  readonly #early: (() => void)[] = [];

  constructor(options: OpenPoolOptions, journalId: string, opened: { copies: readonly Copy[]; mirrored: boolean }) {
    const { copies, mirrored } = opened;
    this.#options = options;
    this.journalId = journalId;
    const truth = newest(copies);
    for (const copy of copies) copy.reason ??= otherSize(copy, copies[truth]!);
    if (mirrored) {
      this.#states = copies.map(({ reason }) => (reason === undefined ? { state: "online" } : { state: "lost", reason }));
    }
    this.file =
      copies.length === 1
        ? copies[0]!.file!
        : new MirroredJournalFile({
            copies: copies.map(({ file }) => file),
            truth,
            inStep: copies.map(({ reason }) => reason === undefined),
            onLost: (copy, error) => this.#lost(copy, error),
          });
  }

  /**
   * The journal must be the one that the drives name, and as they left it, unless they say that nothing is in it.
   * @throws PoolRefusedError
   */
  static async open(
    options: OpenPoolOptions,
    pool: { document: PoolDocument; epoch: number; volumeNames: readonly string[] },
  ): Promise<JournalCopies> {
    const { document, volumeNames } = pool;
    try {
      return document.journalLive ? await openLive(options, pool) : await makeAnew(options, pool);
    } catch (error) {
      if (!(error instanceof JournalError)) throw error;
      throw new PoolRefusedError(options.config.name, error.message, volumeNames, { cause: error });
    }
  }

  /** For the document that opening the pool writes. */
  get documents(): readonly JournalCopyDocument[] | undefined {
    return this.#states?.slice();
  }

  /** From now on losses are put on record here, those included that came since `documents` was asked for. */
  async attach(record: PoolRecord): Promise<void> {
    this.#record = record;
    if (this.#early.length === 0) return;
    await this.#write();
    for (const recorded of this.#early.splice(0)) recorded();
  }

  /** After recovery, before the pool serves: the copies that lack something are made whole. */
  async mend(journal: Journal): Promise<void> {
    const { runtime, config } = this.#options;
    this.#tellLost();
    const mended = await journal.mendMirror(() => breathe(runtime));
    if (mended.length === 0) return;
    runtime.reached("journal.copyWhole");
    for (const copy of mended) this.#states![copy] = { state: "online" };
    await this.#write();
    for (const copy of mended) {
      runtime.raise({
        severity: "info",
        type: "journal.copyRestored",
        subject: `pool ${config.name}`,
        message: `the ${NAMES[copy]} of pool ${config.name} is whole again`,
      });
    }
  }

  async #lost(copy: number, error: JournalFileError): Promise<void> {
    this.#states![copy] = { state: "lost", reason: error.message };
    this.#tell(copy, error.message);
    if (this.#record === undefined) {
      await new Promise<void>((recorded) => this.#early.push(recorded));
      return;
    }
    await this.#write();
  }

  async #write(): Promise<void> {
    const journalCopies = this.#states?.slice();
    if (journalCopies !== undefined) await this.#record!.update((old) => ({ ...old, journalCopies }));
  }

  #tellLost(): void {
    this.#states?.forEach(({ state, reason }, copy) => {
      // A mirror that is not configured any more is nobody's loss.
      if (state === "lost" && this.#copyIsWanted(copy)) this.#tell(copy, reason ?? "unknown reason");
    });
  }

  #copyIsWanted(copy: number): boolean {
    return copy === 0 || this.#options.journal.mirror !== undefined;
  }

  #tell(copy: number, reason: string): void {
    const { runtime, config } = this.#options;
    runtime.raise({
      severity: "critical",
      type: "journal.copyLost",
      subject: `pool ${config.name}`,
      message: `the ${NAMES[copy]} of pool ${config.name} is lost, and the pool goes on with the other copy: ${reason}`,
    });
  }
}

async function openLive(
  options: OpenPoolOptions,
  { document, epoch, volumeNames }: { document: PoolDocument; epoch: number; volumeNames: readonly string[] },
): Promise<JournalCopies> {
  const { journal, config } = options;
  const mirrored = journal.mirror !== undefined || document.journalCopies !== undefined;
  const bays = journal.mirror === undefined ? [journal] : [journal, journal.mirror];
  const recorded = document.journalCopies ?? [{ state: "online" as const }];
  const copies = bays.map((bay, copy) => openCopy(bay, copy, recorded[copy], document));
  if (copies.every(({ reason }) => reason !== undefined)) {
    // Only a single file that is missing comes without an error of its own.
    if (!mirrored && copies[0]!.file === undefined && copies[0]!.reason === MISSING) {
      throw new PoolRefusedError(config.name, MISSING_AND_NEEDED, volumeNames);
    }
    throw new PoolRefusedError(config.name, noneFits(copies, recorded, mirrored), volumeNames);
  }
  const epochs = { known: document.epoch, own: epoch };
  const truth = await claimNewest(copies, document, epochs);
  for (const [copy, found] of copies.entries()) {
    if (copy !== truth && found.reason === undefined && found.ownerEpoch !== copies[truth]!.ownerEpoch) {
      found.reason = `it is an older copy: its last owner had epoch ${found.ownerEpoch}, the other's ${copies[truth]!.ownerEpoch}`;
    }
  }
  for (const [copy, found] of copies.entries()) {
    if (copy === truth || found.reason !== undefined) continue;
    await Journal.claim(found.file!, document.journalId, epochs).catch((error: unknown) => {
      if (!(error instanceof JournalFileError)) throw error;
      found.reason = error.message;
    });
  }
  if (copies.length === 1 && mirrored) {
    const reason = "no mirror is configured, and it misses what is written since";
    return new JournalCopies(options, document.journalId, {
      copies: [copies[0]!, { file: undefined, reason, ownerEpoch: 0, counter: 0 }],
      mirrored,
    });
  }
  return new JournalCopies(options, document.journalId, { copies, mirrored });
}

/**
 * Claims the newest copy that can be written; those that can't are told so by `reason`. Each copy in step has all that was
 * acknowledged, so the next one will do.
 */
async function claimNewest(
  copies: readonly Copy[],
  document: PoolDocument,
  epochs: { readonly known: number; readonly own: number },
): Promise<number> {
  for (;;) {
    const truth = newest(copies);
    try {
      await Journal.claim(copies[truth]!.file!, document.journalId, epochs);
      return truth;
    } catch (error) {
      if (!(error instanceof JournalFileError)) throw error;
      copies[truth]!.reason = error.message;
      // Of a single one, or when no other is in step, there is nothing else to open.
      const { ownerEpoch } = copies[truth]!;
      const next = newest(copies);
      if (next < 0 || copies[next]!.ownerEpoch !== ownerEpoch) throw error;
    }
  }
}

const MISSING = "it is missing";
const MISSING_AND_NEEDED =
  "its journal is missing, and the drives say that writes were in it which hosts take for stored. Put the journal file back";

function noneFits(copies: readonly Copy[], recorded: readonly JournalCopyDocument[], mirrored: boolean): string {
  if (!mirrored) return copies[0]!.reason!;
  const said = copies.map(({ reason }, copy) => `${NAMES[copy]}: ${reason}`).join("; ");
  const elsewhere = copies.length < recorded.length && recorded[1]!.state === "online";
  return `no copy of its journal can be used (${said})${elsewhere ? ". Its mirror is not configured: name its folder" : ""}`;
}

/** A copy is opened for reading its head; whether it may be used is told by `reason`. */
function openCopy(bay: JournalBay, copy: number, recorded: JournalCopyDocument | undefined, document: PoolDocument): Copy {
  const found: Copy = { file: undefined, reason: undefined, ownerEpoch: 0, counter: 0 };
  const single = bay.mirror === undefined && copy === 0 && document.journalCopies === undefined;
  try {
    const file = bay.open();
    // A single journal that is missing is left missing; a copy that is gets a new file to be made whole in.
    const usable = file ?? (single ? undefined : bay.create());
    const opened = { ...found, file: usable };
    if (file === undefined) return { ...opened, reason: MISSING };
    if (recorded === undefined) return { ...opened, reason: "it is new" };
    if (recorded.state === "lost") return { ...opened, reason: recorded.reason ?? "it missed writes" };
    return single ? { ...opened, ...headOf(file, document, false) } : { ...opened, ...headOf(file, document, true) };
  } catch (error) {
    if (single || !(error instanceof JournalFileError)) throw error;
    return { ...found, reason: error.message };
  }
}

/** @param forgiving - there is another copy: what is wrong with this one is told by `reason` */
function headOf(file: JournalFile, document: PoolDocument, forgiving: boolean): Omit<Copy, "file"> {
  try {
    const { ownerEpoch, counter } = newestSuperblock(file, document.journalId);
    const older = ownerEpoch < document.epoch;
    const reason = older
      ? `it is an older copy: its last owner had epoch ${ownerEpoch}, the drives know ${document.epoch}`
      : undefined;
    // A single one is judged by `claim`.
    return { reason: forgiving ? reason : undefined, ownerEpoch, counter };
  } catch (error) {
    if (!forgiving || !(error instanceof JournalError)) throw error;
    return { reason: error.message, ownerEpoch: 0, counter: 0 };
  }
}

function otherSize({ file }: Copy, truth: Copy): string | undefined {
  if (file === undefined || file.bytes === truth.file!.bytes) return undefined;
  return `it has ${file.bytes} bytes, the other copy ${truth.file!.bytes}: remove it, and it is made anew`;
}

/** The truth: the copy in step whose head is newest. */
function newest(copies: readonly Copy[]): number {
  let best = -1;
  copies.forEach((copy, n) => {
    if (copy.reason !== undefined) return;
    const than = copies[best];
    if (than === undefined || copy.ownerEpoch > than.ownerEpoch) best = n;
    else if (copy.ownerEpoch === than.ownerEpoch && copy.counter > than.counter) best = n;
  });
  return best;
}

/** Nothing is in the journal: a new identity, so that nothing from before can be taken for a record of this one. */
async function makeAnew(
  options: OpenPoolOptions,
  { document, epoch }: { document: PoolDocument; epoch: number },
): Promise<JournalCopies> {
  const { journal, runtime } = options;
  const bays = journal.mirror === undefined ? [journal] : [journal, journal.mirror];
  const journalId = runtime.newIdentity();
  const copies: Copy[] = [];
  let failure: unknown;
  for (const bay of bays) {
    const copy: Copy = { file: undefined, reason: undefined, ownerEpoch: epoch, counter: 0 };
    try {
      const file = bay.open();
      if (file !== undefined) refuseForeignJournal(file, document.journalId);
      const fresh = file ?? bay.create();
      runtime.reached("recovery.journalCreated");
      await Journal.format(fresh, journalId, epoch);
      runtime.reached("recovery.journalFormatted");
      copies.push({ ...copy, file: fresh });
    } catch (error) {
      // One of two files can do for a start; a foreign journal is no failure of the file, but somebody's data.
      if (bays.length === 1 || !(error instanceof JournalFileError)) throw error;
      failure = error;
      copies.push({ ...copy, reason: error.message });
    }
  }
  if (copies.every(({ file }) => file === undefined)) throw failure;
  return new JournalCopies(options, journalId, { copies, mirrored: bays.length > 1 });
}
