/**
 * The journal's file of one pool, for its owner: written and read at positions here, made durable by the sync thread.
 *
 * Runs on: the director that owns the pool. Owns: the open file, and the pool's journal-sync requests.
 * Invariants:
 *  1. When `write` returns, all its bytes are in the page cache: they survive the end of this process.
 *  2. `done` of a sync runs only after an fdatasync that began after the call has returned, in the order of the calls.
 *  3. The first failure of a write or of a sync is for ever: every later call throws, every waiting `done` gets it. But a
 *     write that found no room says nothing of what was written before, and of what may be written when there is some.
 *  4. Nothing here waits: a sync's end is taken up by `drain`, which the director's doorbell calls.
 */
import { closeSync, fstatSync, openSync, readSync, writevSync } from "node:fs";
import type { Clock } from "../shared-memory/clock.ts";
import { counterBlock, observe } from "../shared-memory/counters.ts";
import type { GlobalMemory } from "../shared-memory/global-memory.ts";
import { type JournalCopy, JournalSyncRequester, type SyncTicket, ticketReached } from "../shared-memory/journal-sync.ts";
import { JOURNAL_COUNTERS } from "./journal-counters.ts";
import { type JournalFile, JournalFileError } from "./journal-file.ts";
import { journalFileErrorOf } from "./journal-file-errors.ts";
import { ReadAhead } from "./read-ahead.ts";

const C = JOURNAL_COUNTERS.slots;
/** Buffers of one writev (IOV_MAX of Linux). */
const BUFFERS_PER_WRITE_MAX = 1024;

interface WaitingSync {
  readonly ticket: SyncTicket;
  readonly askedAt: number;
  readonly done: (error: JournalFileError | undefined) => void;
}

/** @throws JournalFileError "missing", "foreign" (not a plain file, empty), "io" */
export function openJournalFile(
  path: string,
  options: { global: GlobalMemory; pool: number; director: number; copy?: JournalCopy },
): FileJournal {
  let descriptor: number;
  try {
    descriptor = openSync(path, "r+");
  } catch (error) {
    throw journalFileErrorOf(error, `open journal file ${path}`);
  }
  const stat = fstatSync(descriptor);
  if (!stat.isFile() || stat.size === 0) {
    closeSync(descriptor);
    throw new JournalFileError("foreign", `${path} is not a journal file`);
  }
  return new FileJournal({ path, descriptor, bytes: stat.size, ...options });
}

export class FileJournal implements JournalFile {
  readonly bytes: number;
  readonly #path: string;
  readonly #descriptor: number;
  readonly #copy: JournalCopy;
  readonly #requester: JournalSyncRequester;
  readonly #counters: Float64Array;
  readonly #clock: Clock;
  readonly #ahead: ReadAhead;
  #waiting: WaitingSync[] = [];
  #failure: JournalFileError | undefined;
  #closed = false;
  #drained: (() => void) | undefined;

  constructor(options: {
    path: string;
    descriptor: number;
    bytes: number;
    global: GlobalMemory;
    pool: number;
    director: number;
    copy?: JournalCopy;
  }) {
    this.#path = options.path;
    this.#descriptor = options.descriptor;
    this.#copy = options.copy ?? 0;
    this.bytes = options.bytes;
    this.#requester = new JournalSyncRequester(options.global, options.pool, options.director);
    this.#counters = counterBlock(options.global, "journal", options.pool);
    this.#counters[C.capacityBytes] = options.bytes;
    this.#clock = options.global.clock;
    this.#ahead = new ReadAhead(options.descriptor, options.bytes);
  }

  write(position: number, buffers: readonly Uint8Array[]): void {
    this.#checkUsable();
    let bytes = 0;
    for (let index = 0; index < buffers.length; index++) bytes += buffers[index]!.byteLength;
    if (!(position >= 0 && position + bytes <= this.bytes)) {
      throw new RangeError(`journal file: ${bytes} bytes at ${position} are not within ${this.bytes}`);
    }
    if (bytes === 0) return;
    const began = this.#clock.nowMicroseconds();
    try {
      const whole = buffers.length <= BUFFERS_PER_WRITE_MAX;
      const written = whole ? writevSync(this.#descriptor, buffers, position) : 0;
      if (written !== bytes) this.#writeRest(position, buffers, written);
    } catch (error) {
      const failure = journalFileErrorOf(error, `write journal file ${this.#path}`);
      throw failure.kind === "noSpace" ? failure : this.#fail(failure);
    }
    this.#counters[C.appends]! += 1;
    this.#counters[C.appendBytes]! += bytes;
    observe(this.#counters, C.appendLatency, this.#clock.nowMicroseconds() - began);
  }

  read(position: number, target: Uint8Array): number {
    this.#checkUsable();
    let done = 0;
    try {
      while (done < target.byteLength) {
        const count = readSync(this.#descriptor, target, done, target.byteLength - done, position + done);
        if (count === 0) break;
        done += count;
      }
    } catch (error) {
      throw this.#fail(journalFileErrorOf(error, `read journal file ${this.#path}`));
    }
    return done;
  }

  readAhead(position: number): void {
    if (this.#failure === undefined && !this.#closed) this.#ahead.behind(position);
  }

  sync(done: (error: JournalFileError | undefined) => void): void {
    this.#checkUsable();
    const code = this.#requester.failed(this.#copy);
    if (code !== 0) throw this.#fail(this.#syncError(code));
    this.#counters[C.syncs]! += 1;
    const askedAt = this.#clock.nowMicroseconds();
    this.#waiting.push({ ticket: this.#requester.requestSync(), askedAt, done });
  }

  /** Takes up what the sync thread did; part of the director's drain. Says whether there was anything. */
  drain(): boolean {
    if (this.#waiting.length === 0) return false;
    // In this order: with two copies a ticket is done although this one's sync failed, and that was stored before.
    const reached = this.#requester.doneTicket();
    const code = this.#requester.failed(this.#copy);
    if (code !== 0) {
      this.#fail(this.#syncError(code));
      return true;
    }
    let count = 0;
    while (count < this.#waiting.length && ticketReached(reached, this.#waiting[count]!.ticket)) count += 1;
    if (count === 0) return false;
    const now = this.#clock.nowMicroseconds();
    const ended = this.#waiting.splice(0, count);
    for (const sync of ended) {
      observe(this.#counters, C.syncLatency, now - sync.askedAt);
      sync.done(undefined);
    }
    if (this.#waiting.length === 0) this.#drained?.();
    return true;
  }

  /** The sync thread reported a failure, or is gone. */
  fail(message: string): void {
    this.#fail(new JournalFileError("io", `journal file ${this.#path}: ${message}`));
  }

  /** Waits for the syncs that were asked for (by way of `drain`), then closes the file. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#waiting.length > 0 && this.#failure === undefined) {
      await new Promise<void>((drained) => {
        this.#drained = drained;
      });
    }
    await this.#ahead.end();
    closeSync(this.#descriptor);
  }

  /** After a short write, and for more buffers than one writev takes. `written` bytes are there already. */
  #writeRest(position: number, buffers: readonly Uint8Array[], written: number): void {
    let at = position + written;
    let rest = without(buffers, written);
    while (rest.length > 0) {
      const count = writevSync(this.#descriptor, rest.slice(0, BUFFERS_PER_WRITE_MAX), at);
      if (count === 0) throw new JournalFileError("io", `journal file ${this.#path}: nothing was written at ${at}`);
      at += count;
      rest = without(rest, count);
    }
  }

  #syncError(code: number): JournalFileError {
    return new JournalFileError("io", `journal file ${this.#path}: fdatasync failed with error ${code}`);
  }

  #fail(error: JournalFileError): JournalFileError {
    if (this.#failure === undefined) {
      this.#failure = error;
      this.#counters[C.syncErrors]! += 1;
    }
    for (const sync of this.#waiting.splice(0)) sync.done(this.#failure);
    this.#drained?.();
    return error;
  }

  #checkUsable(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw new JournalFileError("io", `journal file ${this.#path} is closed`);
  }
}

/** `buffers` without their first `bytes` bytes. */
function without(buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes;
  let index = 0;
  while (index < buffers.length && skip >= buffers[index]!.byteLength) {
    skip -= buffers[index]!.byteLength;
    index += 1;
  }
  const rest = buffers.slice(index);
  if (skip > 0) rest[0] = rest[0]!.subarray(skip);
  return rest;
}
