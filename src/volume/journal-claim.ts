/**
 * The journal of a pool that is being opened: which of its copies may be trusted, and how they become the new owner's.
 *
 *   document says which copies were in step ─▶ each must be this journal, of no older owner than the drives know
 *     ─▶ the newest is the truth ─▶ epoch above all that were ever given ─▶ claimed ─▶ document ─▶ recovery
 *
 * Runs on: the director that owns the pool from now on.
 * Invariants:
 *  1. A copy that is on record as lost, is another journal, or has an older owner than the drives know is never read.
 *  2. An epoch is given once: a claim that the drives did not hear of counts too. So of two documents the one of the higher
 *     epoch is the later one, and the epoch in the journal's head never falls.
 *  3. A copy that is in step stays so whatever becomes of the claims: nothing is written to the journal before the document.
 */
import { type JournalFile, JournalFileError } from "../../drivers/journal-file/journal-file.ts";
import { Journal } from "../journal/journal.ts";
import { JournalError, ownedSuperblock, refuseForeignJournal } from "../journal/journal-reader.ts";
import type { Superblock } from "../journal/record.ts";
import { COPY_NAMES, JournalCopies } from "./journal-copies.ts";
import type { JournalCopyDocument, PoolDocument } from "./pool-document.ts";
import { type JournalBay, type OpenPoolOptions, PoolRefusedError } from "./pool-members.ts";

export interface FoundJournal {
  /** Of the last owner, as the drives or the journal know it: the next one's is above. */
  readonly lastEpoch: number;
  /** A map that ends before this record is an older copy: what it lacks, the journal has no more. */
  readonly mapSequence: number;
  /** Makes it the new owner's: durable when it resolves, and before the drives hear of the epoch. @throws PoolRefusedError */
  claim(epoch: number): Promise<JournalCopies>;
}

interface Copy {
  readonly file: JournalFile | undefined;
  /** Undefined: in step as far as its head tells. */
  reason: string | undefined;
  head: Superblock | undefined;
  /** The journal that it was last in step with. */
  readonly journalId: string;
}

/** A copy that may be read. */
interface CopyInStep extends Copy {
  readonly file: JournalFile;
  head: Superblock;
}

/**
 * The journal must be the one that the drives name, and as they left it, unless they say that nothing is in it.
 * @throws PoolRefusedError
 */
export function findJournal(options: OpenPoolOptions, document: PoolDocument, volumeNames: readonly string[]): FoundJournal {
  const found = refusing(options, volumeNames, () =>
    document.journalLive ? findLive(options, document, volumeNames) : findEmpty(options, document),
  );
  return {
    lastEpoch: Math.max(document.epoch, found.lastEpoch),
    mapSequence: Math.max(document.mapSequence ?? 0, found.mapSequence),
    claim: async (epoch) => {
      try {
        return await found.claim(epoch);
      } catch (error) {
        throw refused(options, volumeNames, error);
      }
    },
  };
}

function refusing<T>(options: OpenPoolOptions, volumeNames: readonly string[], find: () => T): T {
  try {
    return find();
  } catch (error) {
    throw refused(options, volumeNames, error);
  }
}

function refused({ config }: OpenPoolOptions, volumeNames: readonly string[], error: unknown): unknown {
  if (!(error instanceof JournalError)) return error;
  return new PoolRefusedError(config.name, error.message, volumeNames, { cause: error });
}

// — a journal that may have what the drives have not —

function findLive(options: OpenPoolOptions, document: PoolDocument, volumeNames: readonly string[]): FoundJournal {
  const { journal, config } = options;
  const mirrored = journal.mirror !== undefined || document.journalCopies !== undefined;
  const bays = journal.mirror === undefined ? [journal] : [journal, journal.mirror];
  const recorded = document.journalCopies ?? [{ state: "online" as const }];
  const copies = bays.map((bay, copy) => openCopy(bay, copy, recorded[copy], document));
  const truth = newest(copies);
  if (truth === undefined) {
    // Only a single file that is missing comes without an error of its own.
    const reason = !mirrored && copies[0]!.file === undefined ? MISSING_AND_NEEDED : noneFits(copies, recorded, mirrored);
    throw new PoolRefusedError(config.name, reason, volumeNames);
  }
  for (const copy of copies) copy.reason ??= otherSize(copy, truth);
  return {
    lastEpoch: truth.head.ownerEpoch,
    mapSequence: truth.head.mapSequence,
    claim: async (epoch) => {
      const claimed = await claimCopies(copies, document, epoch);
      return new JournalCopies(options, document.journalId, {
        copies: withAway(copies, document),
        truth: copies.indexOf(claimed),
        mirrored,
      });
    },
  };
}

const MISSING = "it is missing";
const NOT_CONFIGURED = "no mirror is configured, and it misses what is written since";
const MISSING_AND_NEEDED =
  "its journal is missing, and the drives say that writes were in it which hosts take for stored. Put the journal file back";

function noneFits(copies: readonly Copy[], recorded: readonly JournalCopyDocument[], mirrored: boolean): string {
  if (!mirrored) return copies[0]!.reason!;
  const said = copies.map(({ reason }, copy) => `${COPY_NAMES[copy]}: ${reason}`).join("; ");
  const elsewhere = copies.length < recorded.length && recorded[1]!.state === "online";
  return `no copy of its journal can be used (${said})${elsewhere ? ". Its mirror is not configured: name its folder" : ""}`;
}

/** A copy is opened for reading its head; whether it may be used is told by `reason`. */
function openCopy(bay: JournalBay, copy: number, recorded: JournalCopyDocument | undefined, document: PoolDocument): Copy {
  const single = bay.mirror === undefined && copy === 0 && document.journalCopies === undefined;
  const { epoch } = document;
  const journalId = recorded?.journalId ?? document.journalId;
  const found = { head: undefined, journalId };
  let file: JournalFile | undefined;
  try {
    file = bay.open();
    // A single journal that is missing is left missing; a copy that is gets a new file to be made whole in.
    if (file === undefined) return { ...found, file: single ? undefined : bay.create(), reason: MISSING };
    if (!single && recorded?.state !== "online") {
      refuseForeignJournal(file, document.journalId, journalId);
      return { ...found, file, reason: recorded === undefined ? "it is new" : (recorded.reason ?? "it missed writes") };
    }
    return { file, reason: undefined, head: ownedSuperblock(file, journalId, epoch), journalId };
  } catch (error) {
    // What is wrong with a single one is its own error; of two the other may do.
    if (single || !(error instanceof JournalFileError || error instanceof JournalError)) throw error;
    return { ...found, file: writable(file, document.journalId, journalId), reason: error.message };
  }
}

/** The file, if it may be made whole as a copy of the journal: it is not what somebody else needs. */
function writable(file: JournalFile | undefined, ...identities: readonly string[]): JournalFile | undefined {
  try {
    if (file !== undefined) refuseForeignJournal(file, ...identities);
    return file;
  } catch (error) {
    if (!(error instanceof JournalFileError || error instanceof JournalError)) throw error;
    return undefined;
  }
}

/** With the mirror that was, where none is configured any more: it is known when it comes back. */
function withAway(copies: readonly Copy[], { journalCopies, journalId }: PoolDocument): readonly Copy[] {
  if (copies.length > 1 || journalCopies === undefined) return copies;
  const away = { file: undefined, reason: NOT_CONFIGURED, head: undefined, journalId: journalCopies[1]?.journalId ?? journalId };
  return [...copies, away];
}

function otherSize({ file }: Copy, truth: { readonly file: JournalFile }): string | undefined {
  if (file === undefined || file.bytes === truth.file.bytes) return undefined;
  return `it has ${file.bytes} bytes, the other copy ${truth.file.bytes}: remove it, and it is made anew`;
}

function inStep(copies: readonly Copy[]): CopyInStep[] {
  return copies.filter((copy): copy is CopyInStep => copy.reason === undefined && copy.head !== undefined);
}

/** The truth: the copy in step whose head is newest. */
function newest(copies: readonly Copy[]): CopyInStep | undefined {
  const isNewer = ({ head }: CopyInStep, than: CopyInStep): boolean =>
    head.ownerEpoch > than.head.ownerEpoch || (head.ownerEpoch === than.head.ownerEpoch && head.counter > than.head.counter);
  return inStep(copies).reduce<CopyInStep | undefined>(
    (best, copy) => (best === undefined || isNewer(copy, best) ? copy : best),
    undefined,
  );
}

/**
 * Claims all that are in step; one that can't be written is told so by `reason`. Each has all that was acknowledged, so any
 * that is left will do. They all get the newest's head: what it says of the journal holds for each, and from one counter on
 * a later head is the newer one in all of them.
 * @returns the truth
 */
async function claimCopies(copies: readonly Copy[], document: PoolDocument, epoch: number): Promise<CopyInStep> {
  const candidates = inStep(copies);
  const head = { ...newest(copies)!.head, counter: Math.max(...candidates.map((copy) => copy.head.counter)) };
  let failure: unknown;
  for (const copy of candidates) {
    try {
      await Journal.claim(copy.file, document.journalId, { known: document.epoch, own: epoch }, head);
    } catch (error) {
      if (!(error instanceof JournalFileError)) throw error;
      failure = error;
      copy.reason = error.message;
    }
  }
  const truth = newest(copies);
  if (truth === undefined) throw failure;
  return truth;
}

// — a journal that nothing is in —

/** A new identity, so that nothing from before can be taken for a record of this one. */
function findEmpty(options: OpenPoolOptions, document: PoolDocument): FoundJournal {
  const { journal, runtime } = options;
  const bays = journal.mirror === undefined ? [journal] : [journal, journal.mirror];
  let lastEpoch = 0;
  let failure: unknown;
  /** One of two files can do for a start. */
  const forgiven = (error: unknown, journalId: string): Copy => {
    if (bays.length === 1 || !(error instanceof JournalFileError || error instanceof JournalError)) throw error;
    failure = error;
    return { file: undefined, reason: error.message, head: undefined, journalId };
  };
  const copies = bays.map((bay, copy): Copy => {
    const journalId = document.journalCopies?.[copy]?.journalId ?? document.journalId;
    try {
      const file = bay.open();
      const head = file === undefined ? undefined : refuseForeignJournal(file, document.journalId, journalId);
      lastEpoch = Math.max(lastEpoch, head?.ownerEpoch ?? 0);
      return { file, reason: undefined, head: undefined, journalId };
    } catch (error) {
      return forgiven(error, journalId);
    }
  });
  const claim = async (epoch: number): Promise<JournalCopies> => {
    const fresh = runtime.newIdentity();
    for (const [n, { file, reason, journalId }] of copies.entries()) {
      if (reason !== undefined) continue;
      try {
        const made = file ?? bays[n]!.create();
        runtime.reached("recovery.journalCreated");
        await Journal.format(made, fresh, epoch);
        runtime.reached("recovery.journalFormatted");
        copies[n] = { file: made, reason, head: undefined, journalId: fresh };
      } catch (error) {
        copies[n] = forgiven(error, journalId);
      }
    }
    const truth = copies.findIndex(({ reason }) => reason === undefined);
    if (truth < 0) throw failure;
    for (const copy of copies) copy.reason ??= otherSize(copy, { file: copies[truth]!.file! });
    const all = withAway(copies, document);
    return new JournalCopies(options, fresh, { copies: all, truth, mirrored: all.length > 1 });
  };
  // The drives say so themselves where nothing is in the journal.
  return { lastEpoch, mapSequence: 0, claim };
}
