/**
 * A simulated journal file with the kernel's page cache over it.
 *
 * A killed process loses nothing of what `write` took, but may be killed in the middle of one. When the power fails, of what
 * no fdatasync covered any 512-byte sectors are there and any others are not. A write that fails leaves a first part of
 * itself. An fdatasync that fails marks its pages clean, as kernels do: any sectors of them are on the disk, no later
 * fdatasync covers them unless the page is written to again, and what is read of them is what was written, or, once the
 * page was evicted, what is on the disk. Its process has no fdatasync of the file any more that ends well.
 */
import { type JournalFile, JournalFileError } from "../../drivers/journal-file/journal-file.ts";
import { RECORD_HEADER_BYTES } from "../../src/journal/record.ts";
import type { Random } from "../support/random.ts";
import type { Engine, Life } from "./engine.ts";
import type { Site } from "./sim-drive.ts";

const SECTOR = 512;
const PAGE = 4096;
const SYNC_MILLISECONDS = 1;

interface Written {
  readonly position: number;
  readonly data: Uint8Array;
}

export interface JournalDisk {
  readonly syncMilliseconds: number;
  /** A power failure mostly takes one write of many: what lies behind it is there, and belongs to no history any more. */
  readonly losesOne: boolean;
}

export class SimJournalState {
  readonly bytes: number;
  /** What reads see. */
  readonly cached: Uint8Array;
  /** What is on the disk for certain. */
  readonly durable: Uint8Array;
  /** Oldest first. */
  unsynced: Written[] = [];
  /** Pages of which the disk may have something else, and that are not dirty. */
  readonly #forsaken = new Set<number>();

  /** An fdatasync failed: what it was for may be read, and gone once it is not in memory any more. */
  get hasForsaken(): boolean {
    return this.#forsaken.size > 0;
  }

  failsNoMore(): void {
    this.failShare = 0;
    this.syncsLeft = Number.POSITIVE_INFINITY;
  }

  get mayFail(): boolean {
    return this.failShare > 0 || this.syncsLeft < Number.POSITIVE_INFINITY;
  }

  process = 0;
  /** An fdatasync of this process failed. */
  syncFailed = false;
  /** So many writes lie behind one that the last power failure took, as long as nothing is written over them. */
  behindEnd = 0;
  /** Of writes and syncs, so many fail: only where there is another copy. */
  failShare = 0;
  /** So many fdatasyncs end well yet, before one fails: likewise. */
  syncsLeft = Number.POSITIVE_INFINITY;
  readonly disk: JournalDisk;

  constructor(bytes: number, disk: JournalDisk = { syncMilliseconds: SYNC_MILLISECONDS, losesOne: false }) {
    this.bytes = bytes;
    this.disk = disk;
    this.cached = new Uint8Array(bytes);
    this.durable = new Uint8Array(bytes);
  }

  write(position: number, data: Uint8Array): void {
    this.cached.set(data, position);
    this.unsynced.push({ position, data });
    // A page is dirty as a whole.
    for (let page = Math.floor(position / PAGE); page * PAGE < position + data.length; page++) {
      if (!this.#forsaken.delete(page)) continue;
      this.unsynced.push({ position: page * PAGE, data: this.cached.slice(page * PAGE, (page + 1) * PAGE) });
    }
  }

  /** The first `count` of the unsynced writes are durable. */
  harden(count: number): void {
    for (const { position, data } of this.unsynced.splice(0, count)) this.durable.set(data, position);
  }

  /** The fdatasync of the first `count` of them failed. */
  forsake(count: number, random: Random): void {
    this.syncFailed = true;
    const dice = random.next();
    const share = dice < 0.4 ? 0 : dice < 0.7 ? 1 : random.next();
    const isEvicted = random.chance(0.4);
    for (const { position, data } of this.unsynced.splice(0, count)) {
      this.#hardenSectors(position, data, () => random.chance(share));
      for (let page = Math.floor(position / PAGE); page * PAGE < position + data.length; page++) this.#forsaken.add(page);
    }
    for (const page of this.#forsaken) {
      const isDirty = this.unsynced.some(
        ({ position, data }) => position < (page + 1) * PAGE && position + data.length > page * PAGE,
      );
      // As a page is dirty as a whole, the next fdatasync covers what this one was for, too.
      if (isDirty) this.unsynced.unshift({ position: page * PAGE, data: this.cached.slice(page * PAGE, (page + 1) * PAGE) });
      if (isDirty) this.#forsaken.delete(page);
      else if (isEvicted) this.cached.set(this.durable.subarray(page * PAGE, (page + 1) * PAGE), page * PAGE);
    }
  }

  /** A file that holds what this one does, durably. */
  copy(): SimJournalState {
    const copy = new SimJournalState(this.bytes, this.disk);
    copy.cached.set(this.cached);
    copy.durable.set(this.cached);
    return copy;
  }

  crash(kind: "process" | "power", random: Random): void {
    this.process += 1;
    this.syncFailed = false;
    if (kind === "process") return;
    this.#forsaken.clear();
    this.behindEnd = 0;
    if (this.disk.losesOne && this.unsynced.length > 0 && random.chance(0.6)) this.#loseOne(random);
    else this.#loseSome(random);
    this.unsynced = [];
    this.cached.set(this.durable);
  }

  /** All of it, or, where it is a record, all behind a first part of its header. */
  #loseOne(random: Random): void {
    // Torn within its header, or right behind it: those behind it count, and it has another's entries.
    const torn = [...this.unsynced.keys()].filter((n) => this.unsynced[n]!.position % SECTOR >= SECTOR - RECORD_HEADER_BYTES);
    const isTorn = torn.length > 0 && random.chance(0.5);
    const lost = isTorn ? torn[random.between(0, torn.length - 1)]! : random.between(0, this.unsynced.length - 1);
    const sectors = isTorn ? 1 : random.chance(0.5) ? 0 : random.between(1, 2);
    this.behindEnd = this.unsynced.length - 1 - lost;
    for (const [n, { position, data }] of this.unsynced.entries()) {
      const end = n === lost ? sectorEnd(position, sectors) - position : data.length;
      this.durable.set(data.subarray(0, end), position);
    }
  }

  #loseSome(random: Random): void {
    const share = random.chance(0.3) ? 0 : random.chance(0.3) ? 1 : random.next();
    const bySector = random.chance(0.5);
    const inOrder = random.chance(0.4);
    for (const { position, data } of this.unsynced) {
      const whole = random.chance(share);
      if (inOrder && !whole) {
        // A first part of what was written, torn in its last write.
        const sectors = random.between(0, Math.floor(data.length / SECTOR));
        this.durable.set(data.subarray(0, sectorEnd(position, sectors) - position), position);
        break;
      }
      if (bySector) this.#hardenSectors(position, data, () => random.chance(share));
      else if (whole) this.durable.set(data, position);
    }
  }

  #hardenSectors(position: number, data: Uint8Array, isThere: () => boolean): void {
    for (let at = 0; at < data.length; ) {
      const end = Math.min(data.length, sectorEnd(position + at, 1) - position);
      if (isThere()) this.durable.set(data.subarray(at, end), position + at);
      at = end;
    }
  }
}

/** Where the sector ends that is `count − 1` after the one that `position` lies in. */
function sectorEnd(position: number, count: number): number {
  return count === 0 ? position : (Math.floor(position / SECTOR) + count) * SECTOR;
}

export class SimJournalFile implements JournalFile {
  readonly bytes: number;
  readonly #state: SimJournalState;
  readonly #engine: Engine;
  readonly #life: Life;
  readonly #site: Site;
  #closed = false;
  #failure: JournalFileError | undefined;
  /** Syncs asked for that have not begun; those that run now. */
  #waiting: ((error: JournalFileError | undefined) => void)[] = [];
  #running = false;

  constructor(options: { state: SimJournalState; engine: Engine; life: Life; site: Site }) {
    this.bytes = options.state.bytes;
    this.#state = options.state;
    this.#engine = options.engine;
    this.#life = options.life;
    this.#site = options.site;
  }

  write(position: number, buffers: readonly Uint8Array[]): void {
    if (this.#life.dead) return;
    this.#checkUsable();
    let bytes = 0;
    for (const buffer of buffers) bytes += buffer.byteLength;
    if (!(position >= 0 && position + bytes <= this.bytes)) {
      throw new RangeError(`journal file: ${bytes} bytes at ${position} are not within ${this.bytes}`);
    }
    const data = new Uint8Array(bytes);
    let at = 0;
    for (const buffer of buffers) {
      data.set(buffer, at);
      at += buffer.byteLength;
    }
    this.#site("journalFile.write", this.#life);
    try {
      this.#site("journalFile.writeTorn", this.#life);
    } catch (error) {
      // Killed in the system call: the kernel ends between two pages.
      const pages = this.#engine.random.between(0, Math.floor(bytes / PAGE));
      this.#state.write(position, data.slice(0, Math.min(bytes, pages * PAGE - (pages > 0 ? position % PAGE : 0))));
      throw error;
    }
    const fails = this.#chanceOfFailure();
    const taken = fails ? this.#engine.random.between(0, Math.floor(bytes / PAGE)) * PAGE : bytes;
    if (taken > 0) this.#state.write(position, data.slice(0, taken));
    if (fails) throw this.#fail("write error");
  }

  read(position: number, target: Uint8Array): number {
    this.#checkUsable();
    const bytes = Math.max(0, Math.min(target.byteLength, this.bytes - position));
    target.set(this.#state.cached.subarray(position, position + bytes));
    return bytes;
  }

  sync(done: (error: JournalFileError | undefined) => void): void {
    if (this.#life.dead) return;
    this.#checkUsable();
    if (this.#state.syncFailed) throw this.#fail("an fdatasync failed before");
    this.#site("journalFile.sync", this.#life);
    this.#waiting.push(done);
    if (!this.#running) this.#begin();
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** One fdatasync for all who asked before it begins; it outlives the director that asked. */
  #begin(): void {
    this.#running = true;
    const engine = this.#engine;
    const state = this.#state;
    const { process } = state;
    const served = this.#waiting;
    this.#waiting = [];
    const last = state.unsynced.at(-1);
    engine.after(engine.latency(state.disk.syncMilliseconds), undefined, () => {
      if (state.process !== process) return;
      const error =
        state.syncFailed || --state.syncsLeft < 0 || this.#chanceOfFailure() ? this.#fail("fdatasync error") : undefined;
      const count = last === undefined ? 0 : state.unsynced.indexOf(last) + 1;
      if (error === undefined) state.harden(count);
      else state.forsake(count, engine.random);
      this.#running = false;
      if (this.#waiting.length > 0) this.#begin();
      engine.after(engine.latency(0.02), this.#life, () => {
        for (const done of served) done(error);
      });
      this.#site("journalFile.synced", undefined);
    });
  }

  #chanceOfFailure(): boolean {
    const { failShare } = this.#state;
    return failShare > 0 && this.#engine.random.chance(failShare);
  }

  /** The first failure is for ever. */
  #fail(what: string): JournalFileError {
    this.#failure ??= new JournalFileError("io", what);
    return this.#failure;
  }

  #checkUsable(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw new JournalFileError("io", "journal file is closed");
  }
}
