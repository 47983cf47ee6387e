/**
 * Serves the drives of one pool to the directors that reach them: takes requests from the rings, runs them, answers.
 *
 * Runs on: the drive thread. Owns: the request rings' consuming ends and the completion rings' producing ends.
 *
 *   ring slot ──take──► read of parts: done at once, where the zone is open ──► completion slot
 *                  └──► other read: started at once
 *                  └──► anything else: queue of its drive ──start, a few at a time──► under way ──► completion slot
 *
 * A read that is done at once costs no promise. The completions of one drain wake the director once for every few of
 * them, so that it works on some while this thread reads the next.
 * Reads overtake: every drain takes all slots and starts all reads before it starts one more of the rest, as a read
 * blocks this thread for some microseconds and a write for the time that it takes to copy its strips.
 * Invariants:
 *  1. A request under an epoch older than the pool's or the drive's is answered "fenced".
 *  2. A request that is late is answered "unknown" and not begun (its caller may have given up on its memory).
 *  3. Every slot taken is answered exactly once, unless it was for an earlier incarnation of this thread. Queues are bounded by the rings: a director has as many slots in
 *     flight as its completion ring holds, at most.
 */
import { Doorbell } from "../shared-memory/doorbell.ts";
import { moveRelay, RELAY, relayState } from "../shared-memory/drive-relay-state.ts";
import { poolEpoch, threadEpoch } from "../shared-memory/epoch.ts";
import type { GlobalMemory } from "../shared-memory/global-memory.ts";
import { type DrivePath, SLOT_WORDS, threadNumber } from "../shared-memory/layout.ts";
import { RingConsumer, RingProducer } from "../shared-memory/ring.ts";
import { DriveError, type LocalDrive } from "./drive.ts";
import { type DriveAnswerParts, NOTHING, partsOf, runDriveOperation } from "./drive-operations.ts";
import {
  COMPLETION_WORD,
  DRIVE_OPERATION,
  OUTCOME_DONE,
  OUTCOME_LARGER,
  outcomeOf,
  REQUEST_WORD,
  writeMessage,
} from "./drive-slots.ts";

/** Operations under way at one drive, reads apart: LevelDB holds a copy of each batch in memory meanwhile. */
const UNDER_WAY_MAX = 4;
/** Slots taken from one director's ring before the next director's turn. */
const TAKE_SLOTS_MAX = 64;
/** Completions of reads after which a director is woken before its reads are all done. */
const RING_READS = 8;

/** A drive of the pool: what gives a director access to it, or why there is none. */
export type ServedDrive =
  | { readonly name: string; readonly attach: () => LocalDrive; readonly failure?: undefined }
  | { readonly name: string; readonly failure: DriveError };

interface Access {
  drive: LocalDrive;
  epoch: number;
}

/** One request, copied out of its slot. Pooled. */
export class TakenRequest {
  readonly words = new Int32Array(SLOT_WORDS);
  path: DirectorPath | undefined;
  onEnd: (() => void) | undefined;
}

interface DirectorPath {
  readonly place: DrivePath;
  requests: RingConsumer;
  completions: RingProducer;
  /** The director's partner has our ends of its rings. */
  cut: boolean;
  readonly doorbell: Doorbell;
  readonly mailbox: number;
  /** By drive index. */
  readonly access: Map<number, Access>;
  /** Answers that found the completion ring full. */
  readonly backlog: (() => void)[];
  /** Completions of this drain that the director was not woken for. */
  unrung: number;
  readonly director: number;
  /** Requests taken and not ended. */
  underWay: number;
  /** Told when there are none. */
  readonly quiet: (() => void)[];
}

/** What may have been done by a thread that died is looked at first: meanwhile nothing else of its drive begins. */
function weightOf(request: TakenRequest): number {
  return request.words[REQUEST_WORD.repeated] === 1 ? UNDER_WAY_MAX : 1;
}

function canStartNext({ requests, underWay }: DriveQueue): boolean {
  const next = requests[0];
  return next !== undefined && underWay + weightOf(next) <= UNDER_WAY_MAX;
}

interface DriveQueue {
  readonly requests: TakenRequest[];
  underWay: number;
}

export class DriveServer {
  readonly #global: GlobalMemory;
  readonly #pool: number;
  /** Of this incarnation of the thread. */
  readonly #threadEpoch: number;
  readonly #paths: readonly DirectorPath[];
  readonly #drives = new Map<number, ServedDrive>();
  readonly #queues = new Map<number, DriveQueue>();
  readonly #free: TakenRequest[] = [];
  /** Taken, and not done at once. */
  readonly #running = new Set<TakenRequest>();
  #underWay = 0;
  #idle: (() => void)[] = [];

  constructor(global: GlobalMemory, pool: number) {
    this.#global = global;
    this.#pool = pool;
    const { layout } = global;
    this.#threadEpoch = threadEpoch(global, threadNumber(layout, "drive", pool));
    this.#paths = layout.drivePaths[pool]!.map((path) => ({
      place: path,
      requests: new RingConsumer(global, path.requests),
      completions: new RingProducer(global, path.completions),
      cut: relayState(global, path) !== RELAY.direct,
      doorbell: new Doorbell(global, {
        consumer: threadNumber(layout, "director", path.director),
        producer: threadNumber(layout, "drive", pool),
      }),
      mailbox: path.mailbox,
      access: new Map(),
      backlog: [],
      unrung: 0,
      director: path.director,
      underWay: 0,
      quiet: [],
    }));
  }

  /** Puts a drive at a place of the pool; accesses to what was there end as "fenced". */
  setDrive(driveIndex: number, drive: ServedDrive): void {
    this.#drives.set(driveIndex, drive);
    for (const path of this.#paths) path.access.delete(driveIndex);
  }

  /** The thread's drain: says whether there was anything to do. */
  drain(): boolean {
    let busy = false;
    for (const path of this.#paths) {
      this.#flushBacklog(path);
      if (this.#take(path)) busy = true;
    }
    for (const queue of this.#queues.values()) {
      if (!canStartNext(queue)) continue;
      this.#startNext(queue);
      busy = true;
    }
    return busy;
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    if (this.#underWay === 0) return;
    await new Promise<void>((ready) => this.#idle.push(ready));
  }

  /**
   * Resolves when nothing that a director has asked for is left here: none of its memory is written to any more. It sends
   * nothing more itself: it is dead.
   */
  async quiet(director: number): Promise<void> {
    const path = this.#paths.find((candidate) => candidate.director === director);
    if (path === undefined) return;
    const state = relayState(this.#global, path.place);
    if (state !== RELAY.direct) moveRelay(this.#global, path.place, state, RELAY.direct);
    while (this.#take(path)) {
      // What lies in its ring is taken now: it is refused as fenced.
    }
    // Those that came through its partner, as it was cut off, lie in the partner's ring or are under way on its path.
    for (const other of this.#paths) {
      while (other !== path && this.#take(other)) {
        // Likewise.
      }
    }
    const relayed = [...this.#running].filter((request) => request.path !== path && this.#isOfFormerOwner(request));
    await Promise.all([this.#quietPath(path), ...relayed.map((request) => this.#ends(request))]);
  }

  async #quietPath(path: DirectorPath): Promise<void> {
    if (path.underWay === 0) return;
    await new Promise<void>((resolve) => path.quiet.push(resolve));
  }

  #isOfFormerOwner({ words }: TakenRequest): boolean {
    const epoch = words[REQUEST_WORD.epoch]!;
    return epoch >= 0 && epoch < poolEpoch(this.#global, this.#pool);
  }

  #ends(request: TakenRequest): Promise<void> {
    return new Promise((resolve) => {
      request.onEnd = resolve;
    });
  }

  /** A director that is cut off is not heard here, once it has all answers: its partner brings what it asks (drive-relay.ts). */
  #isCut(path: DirectorPath): boolean {
    const state = relayState(this.#global, path.place);
    if (state === RELAY.direct) {
      if (path.cut) {
        path.cut = false;
        path.requests = new RingConsumer(this.#global, path.place.requests);
        path.completions = new RingProducer(this.#global, path.place.completions);
        this.#takeAccesses(path);
      }
      return false;
    }
    if (state === RELAY.cutting && path.underWay === 0 && path.backlog.length === 0) {
      path.cut = true;
      moveRelay(this.#global, path.place, RELAY.cutting, RELAY.relayed);
    }
    return true;
  }

  /** What was opened for a director through its partner's path is open on its own. Under another's epoch it is fenced all the same. */
  #takeAccesses(path: DirectorPath): void {
    for (const other of this.#paths) {
      for (const [driveIndex, access] of other.access) {
        if (access.epoch > (path.access.get(driveIndex)?.epoch ?? -1)) path.access.set(driveIndex, access);
      }
    }
  }

  #take(path: DirectorPath): boolean {
    if (this.#isCut(path)) return false;
    let taken = 0;
    while (taken < TAKE_SLOTS_MAX) {
      const word = path.requests.peek();
      if (word < 0) break;
      const request = this.#free.pop() ?? new TakenRequest();
      const { words } = request;
      for (let n = 0; n < SLOT_WORDS; n++) words[n] = this.#global.i32[word + n]!;
      request.path = path;
      path.requests.advance();
      taken += 1;
      if (words[REQUEST_WORD.threadEpoch] !== this.#threadEpoch) {
        // It was for the thread that died before this one: its sender has found that out, or will, and asks again.
        this.#free.push(request);
        continue;
      }
      this.#underWay += 1;
      path.underWay += 1;
      const operation = words[REQUEST_WORD.operation];
      if (operation === DRIVE_OPERATION.readParts && this.#readAtOnce(request, path)) continue;
      this.#running.add(request);
      if (operation === DRIVE_OPERATION.readParts || operation === DRIVE_OPERATION.readStrips) void this.#serve(request);
      else this.#queueOf(words[REQUEST_WORD.driveIndex]!).requests.push(request);
    }
    if (path.unrung > 0) this.#ring(path);
    return taken > 0;
  }

  /** False: it takes waiting. */
  #readAtOnce(request: TakenRequest, path: DirectorPath): boolean {
    try {
      if (!this.#accessFor(request.words, path).drive.tryReadParts(partsOf(request.words))) return false;
      this.#answer(request, path, NOTHING, true);
    } catch (error) {
      if (!(error instanceof DriveError)) throw error;
      this.#answer(request, path, error, true);
    }
    this.#ended(request);
    return true;
  }

  #ring(path: DirectorPath): void {
    path.unrung = 0;
    path.doorbell.ring();
  }

  #queueOf(driveIndex: number): DriveQueue {
    // Drives that the pool does not have share one queue, so that a bad index can't make queues without end.
    const known = this.#drives.has(driveIndex) ? driveIndex : -1;
    let queue = this.#queues.get(known);
    if (queue === undefined) {
      queue = { requests: [], underWay: 0 };
      this.#queues.set(known, queue);
    }
    return queue;
  }

  #startNext(queue: DriveQueue): void {
    const request = queue.requests.shift()!;
    const weight = weightOf(request);
    queue.underWay += weight;
    void this.#serve(request).finally(() => {
      queue.underWay -= weight;
      while (canStartNext(queue)) this.#startNext(queue);
    });
  }

  /** What it throws is a bug, and ends the thread as an unhandled rejection. */
  async #serve(request: TakenRequest): Promise<void> {
    const path = request.path!;
    try {
      const parts = await this.#run(request, path);
      this.#answer(request, path, parts);
    } catch (error) {
      if (!(error instanceof DriveError)) throw error;
      this.#answer(request, path, error);
    }
    this.#ended(request);
  }

  #ended(request: TakenRequest): void {
    const path = request.path!;
    path.underWay -= 1;
    if (path.underWay === 0) {
      for (const quiet of path.quiet.splice(0)) quiet();
      this.#isCut(path);
    }
    request.path = undefined;
    this.#running.delete(request);
    request.onEnd?.();
    request.onEnd = undefined;
    this.#free.push(request);
    this.#underWay -= 1;
    if (this.#underWay === 0) for (const ready of this.#idle.splice(0)) ready();
  }

  /** The drive that a request names, if it may be used now. */
  #servedFor(words: Int32Array): { readonly name: string; readonly attach: () => LocalDrive } {
    const driveIndex = words[REQUEST_WORD.driveIndex]!;
    const served = this.#drives.get(driveIndex);
    if (served === undefined) throw new DriveError("unreachable", `${driveIndex}`, "is not in this pool");
    if (served.failure !== undefined) throw served.failure;
    if (((this.#nowMilliseconds() - words[REQUEST_WORD.deadlineMilliseconds]!) | 0) > 0) {
      throw new DriveError("unknown", served.name, "its deadline passed before it was begun");
    }
    return served;
  }

  #checkPoolEpoch(epoch: number, drive: string): void {
    const current = poolEpoch(this.#global, this.#pool);
    if (epoch >= 0 && epoch < current)
      throw new DriveError("fenced", drive, `epoch ${epoch} is older than the pool's ${current}`);
  }

  /** A director's access to the drive that a request names, if it still has one. */
  #accessFor(words: Int32Array, path: DirectorPath): Access {
    const { name } = this.#servedFor(words);
    const epoch = words[REQUEST_WORD.epoch]!;
    this.#checkPoolEpoch(epoch, name);
    const access = path.access.get(words[REQUEST_WORD.driveIndex]!);
    if (access === undefined) throw new DriveError("invalid", name, "is not open");
    if (epoch !== access.epoch) {
      const kind = epoch >= 0 && epoch < access.epoch ? "fenced" : "invalid";
      throw new DriveError(kind, name, `epoch ${epoch}; it was opened under ${access.epoch}`);
    }
    return access;
  }

  async #run(request: TakenRequest, path: DirectorPath): Promise<DriveAnswerParts> {
    const { words } = request;
    const driveIndex = words[REQUEST_WORD.driveIndex]!;
    const served = this.#servedFor(words);
    const mailbox = path.mailbox + this.#leaseOffset(words, served.name);
    const operation = words[REQUEST_WORD.operation]!;
    if (operation === DRIVE_OPERATION.identify) {
      const drive = path.access.get(driveIndex)?.drive ?? served.attach();
      return runDriveOperation(drive, words, this.#global, mailbox);
    }
    if (operation === DRIVE_OPERATION.open) {
      const epoch = words[REQUEST_WORD.epoch]!;
      this.#checkPoolEpoch(epoch, served.name);
      const drive = served.attach();
      await drive.open(epoch);
      path.access.set(driveIndex, { drive, epoch });
      return NOTHING;
    }
    return runDriveOperation(this.#accessFor(words, path).drive, words, this.#global, mailbox);
  }

  /** Where the request's lease begins in the mailbox; a lease that is not within it would let an answer land anywhere. */
  #leaseOffset(words: Int32Array, drive: string): number {
    const bytes = Math.max(words[REQUEST_WORD.requestBytes]!, words[REQUEST_WORD.answerBytesMax]!);
    if (bytes <= 0) return 0;
    const offset = words[REQUEST_WORD.mailboxOffset]!;
    if (offset < 0 || offset + bytes > this.#global.layout.shape.mailboxBytes) {
      throw new DriveError("invalid", drive, "its lease is not within the mailbox");
    }
    return offset;
  }

  /** @param drained - an answer of this drain, whose end wakes the director if nothing else does */
  #answer(request: TakenRequest, path: DirectorPath, result: DriveAnswerParts | DriveError, drained = false): void {
    const epoch = request.words[REQUEST_WORD.epoch]!;
    const requestId = request.words[REQUEST_WORD.requestId]!;
    if (path.backlog.length > 0 || !this.#tryAnswer(path, epoch, requestId, result)) {
      path.backlog.push(() => void this.#tryAnswer(path, epoch, requestId, result));
      setTimeout(() => this.#flushBacklog(path), 1);
      return;
    }
    path.unrung += 1;
    if (!drained || path.unrung >= RING_READS) this.#ring(path);
  }

  #flushBacklog(path: DirectorPath): void {
    let flushed = 0;
    while (path.backlog.length > 0 && path.completions.tryReserve() >= 0) {
      path.backlog.shift()!();
      flushed += 1;
    }
    if (flushed > 0) this.#ring(path);
    if (path.backlog.length > 0) setTimeout(() => this.#flushBacklog(path), 1);
  }

  #tryAnswer(path: DirectorPath, epoch: number, requestId: number, result: DriveAnswerParts | DriveError): boolean {
    const word = path.completions.tryReserve();
    if (word < 0) return false;
    const { i32 } = this.#global;
    i32[word + COMPLETION_WORD.epoch] = epoch;
    i32[word + COMPLETION_WORD.requestId] = requestId;
    if (result instanceof DriveError) {
      i32[word + COMPLETION_WORD.outcome] = outcomeOf(result.kind);
      const prefix = `drive ${result.drive}: `;
      writeMessage(i32, word, result.message.startsWith(prefix) ? result.message.slice(prefix.length) : result.message);
    } else {
      i32[word + COMPLETION_WORD.outcome] = result.fits ? OUTCOME_DONE : OUTCOME_LARGER;
      i32[word + COMPLETION_WORD.answerBytes] = result.answerBytes;
      i32[word + COMPLETION_WORD.flag] = result.flag;
    }
    path.completions.publish();
    return true;
  }

  #nowMilliseconds(): number {
    return Math.floor(this.#global.clock.nowMicroseconds() / 1000);
  }
}
