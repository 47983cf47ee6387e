/**
 * The words by which a director asks for an fdatasync of its pool's journal, and hears that it is done.
 *
 * Runs on: JournalSyncRequester on the pool's owner, JournalSyncServer on the pool's journal-sync thread, which may block.
 * A ticket stands for all writes made before it was taken. Tickets are 31 bits and wrap, so compare them with
 * `ticketReached`. Requests made while a sync runs share the next one.
 * Invariants:
 *  1. `syncDone` reaches a ticket only after an fdatasync that began after the ticket was taken has returned.
 *  2. An error is for ever: after it no ticket is done (a failed fdatasync may have dropped the pages it was to write).
 *     Where the journal has two copies each has an error of its own, and a ticket is done for the copy without one: whoever
 *     finds a ticket done looks at the error of its copy after that, as it was stored before.
 */
import { BlockingDoorbell, Doorbell } from "./doorbell.ts";
import type { GlobalMemory } from "./global-memory.ts";
import { POOL_WORD, poolWords, threadNumber } from "./layout.ts";

/** 0 … 2^31 − 1. */
export type SyncTicket = number;

/** The journal's file, and its mirror where it has one. */
export type JournalCopy = 0 | 1;

function errorWord(words: number, copy: JournalCopy): number {
  return words + (copy === 0 ? POOL_WORD.syncError : POOL_WORD.syncErrorMirror);
}

const TICKET_MASK = 0x7fffffff;

/** True when `done` is `ticket` or a later one. */
export function ticketReached(done: SyncTicket, ticket: SyncTicket): boolean {
  return (done - ticket) << 1 >= 0;
}

export class JournalSyncRequester {
  private readonly i32: Int32Array;
  private readonly words: number;
  private readonly director: number;
  private readonly doorbell: Doorbell;

  constructor(global: GlobalMemory, pool: number, director: number) {
    this.i32 = global.i32;
    this.words = poolWords(global.layout, pool);
    this.director = director;
    this.doorbell = new Doorbell(global, {
      consumer: threadNumber(global.layout, "journalSync", pool),
      producer: threadNumber(global.layout, "director", director),
    });
  }

  /** Asks for a sync of everything written so far. This director's doorbell rings when it is done or has failed. */
  requestSync(): SyncTicket {
    const ticket = (Atomics.load(this.i32, this.words + POOL_WORD.syncRequested) + 1) & TICKET_MASK;
    // Publication order: who asks, then the ticket, then the bell.
    Atomics.store(this.i32, this.words + POOL_WORD.syncRequester, this.director);
    Atomics.store(this.i32, this.words + POOL_WORD.syncRequested, ticket);
    this.doorbell.ring();
    return ticket;
  }

  /** The last ticket that is done. */
  doneTicket(): SyncTicket {
    return Atomics.load(this.i32, this.words + POOL_WORD.syncDone);
  }

  isDone(ticket: SyncTicket): boolean {
    return ticketReached(this.doneTicket(), ticket);
  }

  /** Code (errno) of the fdatasync of this copy that failed; 0 while none has. */
  failed(copy: JournalCopy = 0): number {
    return Atomics.load(this.i32, errorWord(this.words, copy));
  }
}

export class JournalSyncServer {
  private readonly i32: Int32Array;
  private readonly words: number;
  private readonly doorbell: BlockingDoorbell;
  private readonly directors: readonly Doorbell[];
  /** The last ticket that waitForRequest has handed out. */
  private taken: SyncTicket;

  private readonly copies: readonly JournalCopy[];

  constructor(global: GlobalMemory, pool: number, copies: readonly JournalCopy[] = [0]) {
    const { layout } = global;
    const thread = threadNumber(layout, "journalSync", pool);
    this.copies = copies;
    this.i32 = global.i32;
    this.words = poolWords(layout, pool);
    this.doorbell = new BlockingDoorbell(global, thread);
    this.directors = Array.from(
      { length: layout.shape.directorCount },
      (_, director) => new Doorbell(global, { consumer: threadNumber(layout, "director", director), producer: thread }),
    );
    // A request that a server before this one took and did not finish is taken again.
    this.taken = Atomics.load(this.i32, this.words + POOL_WORD.syncDone);
  }

  /** Blocks until there is a ticket to serve, or returns −1 when the time is over (or the bell rang for nothing). */
  waitForRequest(timeoutMilliseconds: number): SyncTicket | -1 {
    if (!this.doorbell.wait(this.hasRequest, timeoutMilliseconds)) return -1;
    this.taken = Atomics.load(this.i32, this.words + POOL_WORD.syncRequested);
    return this.taken;
  }

  /** After fdatasync of each copy returned well or was told as failed, for the ticket that waitForRequest gave before. */
  complete(ticket: SyncTicket): void {
    if (this.copies.every((copy) => Atomics.load(this.i32, errorWord(this.words, copy)) !== 0))
      throw new Error("journal sync: completed after it failed");
    Atomics.store(this.i32, this.words + POOL_WORD.syncDone, ticket);
    this.tellRequester();
  }

  /** After fdatasync failed. @param code - errno, not 0 */
  fail(code: number, copy: JournalCopy = 0): void {
    Atomics.store(this.i32, errorWord(this.words, copy), code | 0 || -1);
    this.tellRequester();
  }

  private readonly hasRequest = (): boolean => Atomics.load(this.i32, this.words + POOL_WORD.syncRequested) !== this.taken;

  private tellRequester(): void {
    this.directors[Atomics.load(this.i32, this.words + POOL_WORD.syncRequester)]?.ring();
  }
}
