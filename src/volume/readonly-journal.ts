/**
 * The journal of a pool that is opened for reading only: found to be the one that the drives name, read, and left as it is.
 *
 * Of two copies both are read, and the one that goes further is taken: each that is in step has all that was acknowledged, and
 * of what a power loss left of the rest, none has less than the other here.
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. Nothing is written to a journal that is read here but what is there already (`ReadFile` refuses), and no copy is made.
 *  2. A journal that was used by a later owner than the drives know of is refused: the drives are older copies.
 */
import { type JournalFile, JournalFileError } from "../../drivers/journal-file/journal-file.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { Journal } from "../journal/journal.ts";
import {
  JournalError,
  ownedSuperblock,
  READER_PIECE_BYTES_MIN,
  type RecoveredRecord,
  refuseForeignJournal,
} from "../journal/journal-reader.ts";
import { JOURNAL_DATA_START } from "../journal/record.ts";
import { JournalOverlay } from "./journal-overlay.ts";
import { MergedZeros } from "./merged-zeros.ts";
import type { PoolDocument } from "./pool-document.ts";
import { type JournalBay, type OpenPoolOptions, PoolRefusedError, recoveredHook } from "./pool-members.ts";
import { breathe } from "./runtime.ts";

const RECORDS_PER_TURN = 256;

export interface JournalRead {
  readonly journal: Journal;
  readonly overlay: JournalOverlay;
  /** As FoundJournal has it. */
  readonly mapSequence: number;
}

interface ReadingOf {
  readonly document: PoolDocument;
  /** Of the owner that reads. */
  readonly epoch: number;
  readonly volumeNames: readonly string[];
  readonly hasVolume: (volume: number) => boolean;
  readonly onFailure: (error: JournalFileError) => void;
}

/** @throws PoolRefusedError when the journal that the drives name is not there, or not whole */
export async function readJournal(options: OpenPoolOptions, of: ReadingOf): Promise<JournalRead> {
  const { document, volumeNames } = of;
  const { journal } = options;
  const bays = journal.mirror === undefined ? [journal] : [journal, journal.mirror];
  if (!document.journalLive) return emptyJournal(options, of, bays);
  const reasons: string[] = [];
  let best: JournalRead | undefined;
  for (const [copy, bay] of bays.entries()) {
    const recorded = document.journalCopies?.[copy];
    // A mirror that was never on record is new; one that is lost missed writes.
    if (recorded === undefined ? copy > 0 : recorded.state === "lost") continue;
    try {
      const file = bay.open();
      if (file === undefined) throw new JournalFileError("missing", "its journal is missing");
      const found = await readCopy(options, of, new ReadFile(file));
      if (best === undefined || found.journal.nextSequence > best.journal.nextSequence) best = found;
    } catch (error) {
      if (!(error instanceof JournalError || error instanceof JournalFileError)) throw error;
      reasons.push(error.message);
    }
  }
  if (best === undefined) throw new PoolRefusedError(options.config.name, reasons.join("; "), volumeNames);
  return best;
}

async function readCopy(options: OpenPoolOptions, of: ReadingOf, file: JournalFile): Promise<JournalRead> {
  const { document, epoch, hasVolume, onFailure } = of;
  const { runtime } = options;
  const onRecovered = recoveredHook(options);
  const { ownerEpoch, tailEpoch, mapSequence } = ownedSuperblock(file, document.journalId, document.epoch);
  const journal = new Journal({
    file,
    identity: document.journalId,
    // Up to the newest record: one that the drives know nothing of is to be seen, and not to end the journal.
    epoch: Math.max(epoch, ownerEpoch),
    onFailure,
    onProgress: () => undefined,
  });
  const piece = Buffer.allocUnsafeSlow(READER_PIECE_BYTES_MIN);
  const overlay = new JournalOverlay(new MergedZeros(), piece);
  let newestEpoch = tailEpoch;
  let records = 0;
  const apply = (record: RecoveredRecord): Promise<void> | undefined => {
    newestEpoch = Math.max(newestEpoch, record.epoch);
    overlay.add(record, hasVolume);
    for (const entry of record.entries) if (entry.request !== 0) onRecovered?.(entry, record.epoch);
    records += 1;
    return records % RECORDS_PER_TURN === 0 ? breathe(runtime) : undefined;
  };
  const isSingle = options.journal.mirror === undefined && document.journalCopies === undefined;
  await journal.recover({ piece, apply, pagesKept: isSingle && options.pagesKept === true });
  if (newestEpoch > document.epoch) {
    const message = `the journal was used by an owner of epoch ${newestEpoch}, and the drives that are there know of epoch ${document.epoch}: they are older copies`;
    throw new JournalError("older", message);
  }
  return { journal, overlay, mapSequence };
}

/** Nothing was in it when the array stopped. Another one in its place was made since: the drives are older copies then. */
function emptyJournal(options: OpenPoolOptions, of: ReadingOf, bays: readonly JournalBay[]): JournalRead {
  const { document, epoch, volumeNames, onFailure } = of;
  try {
    for (const bay of bays) {
      const found = bay.open();
      if (found !== undefined) refuseForeignJournal(found, document.journalId);
    }
  } catch (error) {
    if (!(error instanceof JournalError || error instanceof JournalFileError)) throw error;
    throw new PoolRefusedError(options.config.name, error.message, volumeNames, { cause: error });
  }
  const file = new NoJournalFile();
  const journal = new Journal({ file, identity: document.journalId, epoch, onFailure, onProgress: () => undefined });
  return { journal, overlay: new JournalOverlay(new MergedZeros(), Buffer.alloc(0)), mapSequence: 0 };
}

/** There is no journal, and nothing in it. */
export class NoJournalFile implements JournalFile {
  readonly bytes: number = JOURNAL_DATA_START + FRAME_BYTES;

  write(_position?: number, _buffers?: readonly Uint8Array[]): void {
    throw new JournalFileError("io", "the journal is open for reading only");
  }

  read(_position: number, _target: Uint8Array): number {
    return 0;
  }

  sync(done: (error: JournalFileError | undefined) => void): void {
    done(undefined);
  }

  async close(): Promise<void> {}
}

/** A journal's file that is read, and made durable, and never changed. */
class ReadFile extends NoJournalFile {
  override readonly bytes: number;
  readonly #file: JournalFile;

  constructor(file: JournalFile) {
    super();
    this.#file = file;
    this.bytes = file.bytes;
  }

  override read(position: number, target: Uint8Array): number {
    return this.#file.read(position, target);
  }

  /** Only what is there already, anew: so that a sync covers it (src/journal/journal.ts invariant 5). */
  override write(position: number, buffers: readonly Uint8Array[]): void {
    const given = Buffer.concat(buffers);
    const held = Buffer.allocUnsafe(given.length);
    if (this.#file.read(position, held) !== given.length || !held.equals(given)) super.write();
    this.#file.write(position, [given]);
  }

  override sync(done: (error: JournalFileError | undefined) => void): void {
    this.#file.sync(done);
  }
}
