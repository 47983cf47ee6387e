/**
 * The director's side of the rings to one pool's drive thread: sends requests, matches completions, keeps deadlines.
 *
 * Runs on: a director. Owns: its request ring's producing end, its completion ring's consuming end, and the mailbox.
 * Invariants:
 *  1. At most `requestsInFlightMax` requests are with the drive thread; the others wait for a place. Each has memory of its
 *     caller's to read from or into (frames, staging, a place in a queue), which bounds them: none is refused for their number.
 *  2. Requests go out in the order in which they were asked for.
 *  3. A request's place and its mailbox lease are free again only when the drive thread answered, even if the caller
 *     was told "unknown" at the deadline meanwhile. The thread begins nothing after the deadline, which lies
 *     DEADLINE_GRACE_MILLISECONDS before the moment when the caller is told.
 *  4. When the drive thread died and main starts it again, under its next epoch, drives are opened anew and what was not
 *     answered is asked again, before anything else: callers notice a delay, of HOLD_MILLISECONDS_MAX at most.
 *  5. What can't be asked as the drives are not open again by then says so, for as long as this channel lives: no drive is
 *     to blame, and the pool is opened anew by another channel.
 *  6. A channel that is closed sends nothing: the rings have another's ends by then. Who asks all the same is fenced.
 */
import { Doorbell } from "../shared-memory/doorbell.ts";
import { RELAY, relayState } from "../shared-memory/drive-relay-state.ts";
import { threadEpoch } from "../shared-memory/epoch.ts";
import type { GlobalMemory } from "../shared-memory/global-memory.ts";
import { type DrivePath, drivePath, SLOT_WORDS, type ThreadNumber, threadNumber } from "../shared-memory/layout.ts";
import { RingConsumer, RingProducer } from "../shared-memory/ring.ts";
import { DriveError, type DriveErrorKind } from "./drive.ts";
import { METADATA_BATCH_BYTES_MAX } from "./drive-checks.ts";
import {
  COMPLETION_WORD,
  DRIVE_OPERATION,
  type DriveOperation,
  OUTCOME_DONE,
  OUTCOME_LARGER,
  REQUEST_WORD,
  readError,
} from "./drive-slots.ts";
import { MailboxSpace } from "./mailbox-space.ts";

/** A mailbox that is smaller could not take the largest batch. */
export const MAILBOX_BYTES_MIN = METADATA_BATCH_BYTES_MAX + 4096;
const REQUESTS_IN_FLIGHT_MAX = 128;
/** Hosts wait 30 s for a command: by then it must be answered from redundancy. */
const DEADLINE_MILLISECONDS = 20_000;
const DEADLINE_GRACE_MILLISECONDS = 1000;
const DEADLINE_CHECK_MILLISECONDS = 500;
/** While a thread is started again its drives are waited for so long; then they can't be reached, and hosts are told. */
const HOLD_MILLISECONDS_MAX = 10_000;
/** Completions taken in one call of `drain`. */
const DRAIN_SLOTS_MAX = 256;

/** One request, filled in by RemoteDrive. Numbers only: they go into the slot's words as they are. */
export interface DriveRequest {
  readonly drive: string;
  readonly driveIndex: number;
  readonly epoch: number;
  readonly operation: DriveOperation;
  readonly zone?: number;
  readonly firstStrip?: number;
  readonly count?: number;
  readonly address?: number;
  readonly strideBytes?: number;
  readonly bytesMax?: number;
  /** Bytes that `encode` writes into the mailbox. */
  readonly requestBytes?: number;
  readonly encode?: (target: Buffer) => void;
  readonly answerBytesMax?: number;
}

export interface DriveAnswer {
  /** False: the answer needs `bytes.byteLength`… more room than was given: `neededBytes`. */
  readonly fits: boolean;
  readonly neededBytes: number;
  readonly flag: number;
  /** A copy of what the mailbox held. */
  readonly bytes: Buffer;
}

interface Pending {
  readonly request: DriveRequest;
  readonly resolve: (answer: DriveAnswer) => void;
  readonly reject: (error: DriveError) => void;
  deadline: number;
  settled: boolean;
  /** It was with a thread that died. */
  repeated: boolean;
  /** The caller was told "unknown" while the drive thread had it: told when the thread answered after all. */
  landed: (() => void) | undefined;
  id: number;
  mailboxOffset: number;
}

const NO_BYTES = Buffer.alloc(0);
const DONE: DriveAnswer = { fits: true, neededBytes: 0, flag: 0, bytes: NO_BYTES };

export interface DriveChannelOptions {
  readonly pool: number;
  readonly director: number;
  readonly deadlineMilliseconds?: number;
  readonly requestsInFlightMax?: number;
  readonly holdMilliseconds?: number;
}

export class DriveChannel {
  readonly global: GlobalMemory;
  readonly pool: number;
  readonly #requests: RingProducer;
  readonly #completions: RingConsumer;
  readonly #doorbell: Doorbell;
  readonly #mailboxAddress: number;
  readonly #mailbox: MailboxSpace;
  readonly #deadlineMilliseconds: number;
  readonly #holdMilliseconds: number;
  readonly #inFlightMax: number;
  readonly #inFlight = new Map<number, Pending>();
  #waiting: Pending[] = [];
  /** The incarnation of the drive thread that requests go to. */
  #threadEpoch: number;
  readonly #thread: ThreadNumber;
  /** By drive index: the request that opened the drive. */
  readonly #opened = new Map<number, DriveRequest>();
  /** What waits until the drives are open again, after the thread's death; undefined: nothing does. */
  #held: Pending[] | undefined;
  /** The hold is over, and the drives are not open again: nothing but whether they are there can be asked of them here. */
  #isPathLost = false;
  /** Begins anywhere, so that answers to an earlier channel of this director (it was restarted) match nothing here. */
  #nextId = Math.floor(Math.random() * 0x7fff_ffff);
  #timer: NodeJS.Timeout | undefined;
  /** Why nothing is sent any more. */
  #failure: DriveError | undefined;
  readonly #path: DrivePath;
  /** When an answer came last. */
  #heardAt = 0;

  constructor(global: GlobalMemory, options: DriveChannelOptions) {
    const { layout } = global;
    const { pool, director } = options;
    const path = drivePath(layout, pool, director);
    if (layout.shape.mailboxBytes < MAILBOX_BYTES_MIN) throw new RangeError(`mailboxes need ${MAILBOX_BYTES_MIN} bytes`);
    this.global = global;
    this.pool = pool;
    this.#path = path;
    this.#requests = new RingProducer(global, path.requests);
    this.#completions = new RingConsumer(global, path.completions);
    this.#completions.discard();
    this.#doorbell = new Doorbell(global, {
      consumer: threadNumber(layout, "drive", pool),
      producer: threadNumber(layout, "director", director),
    });
    this.#thread = threadNumber(layout, "drive", pool);
    this.#threadEpoch = threadEpoch(global, this.#thread);
    this.#mailboxAddress = path.mailbox;
    this.#mailbox = new MailboxSpace(layout.shape.mailboxBytes);
    this.#deadlineMilliseconds = options.deadlineMilliseconds ?? DEADLINE_MILLISECONDS;
    this.#holdMilliseconds = options.holdMilliseconds ?? HOLD_MILLISECONDS_MAX;
    this.#inFlightMax = Math.min(options.requestsInFlightMax ?? REQUESTS_IN_FLIGHT_MAX, path.requests.slots);
  }

  /** Requests that the drive thread has not answered. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  get waiting(): number {
    return this.#waiting.length + (this.#held?.length ?? 0);
  }

  /** Sends a request, or keeps it until there is room. Rejects with DriveError. */
  transact(request: DriveRequest): Promise<DriveAnswer> {
    if (this.#failure !== undefined)
      return Promise.reject(new DriveError(this.#failure.kind, request.drive, this.#failure.message));
    if (this.#isPathLost && request.operation !== DRIVE_OPERATION.identify) return Promise.reject(this.#pathLost(request));
    return new Promise((resolve, reject) => {
      (this.#held ?? this.#waiting).push(this.#pending(request, resolve, reject));
      this.#pump();
      this.#timer ??= this.#startTimer();
    });
  }

  /** Takes what the drive thread answered; part of the director's drain. Says whether there was anything. */
  drain(): boolean {
    const taken = this.#takeAnswers();
    if (taken > 0) this.#pump();
    return taken > 0;
  }

  #takeAnswers(): number {
    let taken = 0;
    while (taken < DRAIN_SLOTS_MAX) {
      const word = this.#completions.peek();
      if (word < 0) break;
      this.#heardAt = this.#now();
      this.#complete(word);
      this.#completions.advance();
      taken += 1;
    }
    return taken;
  }

  /** The drive thread is gone: what it had is "unknown", what comes is "unreachable". */
  fail(message: string): void {
    this.#failure = new DriveError("unreachable", `of pool ${this.pool}`, message);
    for (const pending of this.#inFlight.values()) {
      this.#reject(pending, "unknown", message);
      pending.landed?.();
    }
    for (const pending of [...this.#waiting.splice(0), ...(this.#held?.splice(0) ?? [])]) {
      this.#reject(pending, "unreachable", message);
    }
    this.#inFlight.clear();
    this.#stopTimer();
  }

  /** Nothing is in flight any more, and nothing more is sent. */
  close(): void {
    if (this.#inFlight.size + this.waiting > 0) this.fail("the director closed its channel");
    this.#failure = new DriveError("fenced", `of pool ${this.pool}`, "its director let go of it");
    this.#stopTimer();
  }

  #pending(request: DriveRequest, resolve: Pending["resolve"], reject: Pending["reject"]): Pending {
    const deadline = this.#now() + this.#deadlineMilliseconds;
    return { request, resolve, reject, deadline, settled: false, repeated: false, landed: undefined, id: 0, mailboxOffset: -1 };
  }

  /** Main has fenced the drive thread, which died: everything begins anew with the next. */
  #threadDied(epoch: number): void {
    // What it had answered is answered.
    this.#takeAnswers();
    this.#threadEpoch = epoch;
    const unanswered = [...this.#inFlight.values()];
    this.#inFlight.clear();
    for (const pending of unanswered) {
      pending.landed?.();
      if (pending.mailboxOffset >= 0) this.#mailbox.give(pending.mailboxOffset);
      pending.mailboxOffset = -1;
      pending.repeated = true;
    }
    const held = [...unanswered, ...(this.#held ?? []), ...this.#waiting].filter((pending) => !pending.settled);
    const isOpening = ({ request }: Pending) =>
      request.operation === DRIVE_OPERATION.open && this.#opened.get(request.driveIndex) === request;
    this.#held = held.filter((pending) => !isOpening(pending));
    const until = this.#now() + this.#holdMilliseconds;
    for (const pending of this.#held) pending.deadline = until;
    this.#waiting = [];
    let opening = this.#opened.size;
    let isThere = false;
    const settled = () => {
      opening -= 1;
      if (opening <= 0 && this.#threadEpoch === epoch) this.#goOn();
    };
    const opened = () => {
      isThere = true;
      settled();
    };
    // One that does not open says why to whoever asks for it. But a thread that says nothing of any, or looks at them when it
    // is too late (before it is given up on), is not back in time.
    const notOpened = () => {
      const late = this.#now() - until;
      const isLost = late >= 0 && (!isThere || late < DEADLINE_GRACE_MILLISECONDS);
      if (isLost && this.#threadEpoch === epoch) this.#losePath();
      else settled();
    };
    for (const request of this.#opened.values()) {
      const pending = this.#pending(request, opened, notOpened);
      pending.deadline = until;
      this.#waiting.push(pending);
    }
    if (this.#opened.size === 0) this.#goOn();
    this.#timer ??= this.#startTimer();
  }

  /** What waits was asked of drives that were open, and would find them closed: that would look like a fault of theirs. */
  #losePath(): void {
    if (this.#isPathLost) return;
    this.#isPathLost = true;
    const waits = [...(this.#held ?? []), ...this.#waiting].filter(({ settled }) => !settled);
    this.#held = undefined;
    this.#waiting = [];
    for (const pending of waits) {
      pending.settled = true;
      pending.reject(this.#pathLost(pending.request, pending.repeated));
    }
  }

  #pathLost(request: DriveRequest, repeated = false): DriveError {
    const error = new DriveError(repeated ? "unknown" : "unreachable", request.drive, "its thread was not back in time");
    error.threadLost = true;
    return error;
  }

  /** The drives are open again. */
  #goOn(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    const deadline = this.#now() + this.#deadlineMilliseconds;
    for (const pending of held) pending.deadline = deadline;
    this.#waiting.push(...held);
    this.#pump();
  }

  #pump(): void {
    const epoch = threadEpoch(this.global, this.#thread);
    if (epoch !== this.#threadEpoch) this.#threadDied(epoch);
    let sent = 0;
    while (sent < this.#waiting.length && this.#trySend(this.#waiting[sent]!)) sent += 1;
    if (sent === 0) return;
    this.#waiting.splice(0, sent);
    this.#doorbell.ring();
  }

  #trySend(pending: Pending): boolean {
    if (pending.settled) return true;
    if (this.#inFlight.size >= this.#inFlightMax) return false;
    const word = this.#requests.tryReserve();
    if (word < 0) return false;
    const { request } = pending;
    const requestBytes = request.requestBytes ?? 0;
    const leaseBytes = Math.max(requestBytes, request.answerBytesMax ?? 0);
    if (leaseBytes > 0) {
      pending.mailboxOffset = this.#mailbox.tryTake(leaseBytes);
      if (pending.mailboxOffset < 0) return false;
      request.encode?.(this.global.view(this.#mailboxAddress + pending.mailboxOffset, requestBytes));
    }
    pending.id = this.#takeId();
    this.#inFlight.set(pending.id, pending);
    this.#fill(word, pending);
    this.#requests.publish();
    return true;
  }

  #fill(word: number, pending: Pending): void {
    const { i32 } = this.global;
    const { request } = pending;
    i32.fill(0, word, word + SLOT_WORDS);
    i32[word + REQUEST_WORD.epoch] = request.epoch;
    i32[word + REQUEST_WORD.requestId] = pending.id;
    i32[word + REQUEST_WORD.operation] = request.operation;
    i32[word + REQUEST_WORD.driveIndex] = request.driveIndex;
    i32[word + REQUEST_WORD.zone] = request.zone ?? 0;
    i32[word + REQUEST_WORD.firstStrip] = request.firstStrip ?? 0;
    i32[word + REQUEST_WORD.count] = request.count ?? 0;
    i32[word + REQUEST_WORD.address] = request.address ?? 0;
    i32[word + REQUEST_WORD.strideBytes] = request.strideBytes ?? 0;
    i32[word + REQUEST_WORD.mailboxOffset] = pending.mailboxOffset;
    i32[word + REQUEST_WORD.requestBytes] = request.requestBytes ?? 0;
    i32[word + REQUEST_WORD.answerBytesMax] = request.answerBytesMax ?? 0;
    i32[word + REQUEST_WORD.deadlineMilliseconds] = pending.deadline | 0;
    i32[word + REQUEST_WORD.bytesMax] = request.bytesMax ?? 0;
    i32[word + REQUEST_WORD.threadEpoch] = this.#threadEpoch;
    i32[word + REQUEST_WORD.repeated] = pending.repeated ? 1 : 0;
  }

  #complete(word: number): void {
    const { i32 } = this.global;
    const id = i32[word + COMPLETION_WORD.requestId]!;
    const pending = this.#inFlight.get(id);
    // None: this channel, or one before it, had given up on a drive thread that answered after all.
    if (pending === undefined || pending.request.epoch !== i32[word + COMPLETION_WORD.epoch]) return;
    this.#inFlight.delete(id);
    const outcome = i32[word + COMPLETION_WORD.outcome]!;
    if (!pending.settled) {
      pending.settled = true;
      if (outcome <= OUTCOME_DONE && pending.request.operation === DRIVE_OPERATION.open)
        this.#opened.set(pending.request.driveIndex, pending.request);
      if (outcome > OUTCOME_DONE) pending.reject(readError(i32, word, pending.request.drive));
      else pending.resolve(this.#answer(word, pending, outcome));
    }
    pending.landed?.();
    if (pending.mailboxOffset >= 0) this.#mailbox.give(pending.mailboxOffset);
  }

  #answer(word: number, pending: Pending, outcome: number): DriveAnswer {
    const { i32 } = this.global;
    const answerBytes = i32[word + COMPLETION_WORD.answerBytes]!;
    const flag = i32[word + COMPLETION_WORD.flag]!;
    if (outcome === OUTCOME_LARGER) return { fits: false, neededBytes: answerBytes, flag, bytes: NO_BYTES };
    if (answerBytes === 0 && flag === 0) return DONE;
    const held = answerBytes === 0 ? NO_BYTES : this.global.view(this.#mailboxAddress + pending.mailboxOffset, answerBytes);
    return { fits: true, neededBytes: answerBytes, flag, bytes: Buffer.from(held) };
  }

  /** Positive 31-bit ids that nothing in flight has. */
  #takeId(): number {
    do this.#nextId = (this.#nextId % 0x7fff_ffff) + 1;
    while (this.#inFlight.has(this.#nextId));
    return this.#nextId;
  }

  #reject(pending: Pending, kind: DriveErrorKind, message: string, threadLost = this.#held !== undefined): void {
    if (pending.settled) return;
    pending.settled = true;
    const error = new DriveError(kind, pending.request.drive, message);
    if (threadLost) error.threadLost = true;
    pending.reject(error);
  }

  /** The drive thread still has the request, and the memory that it names. */
  #giveUp(pending: Pending): void {
    if (pending.settled) return;
    pending.settled = true;
    const error = new DriveError("unknown", pending.request.drive, "no answer by the deadline");
    // Cut off, and its partner has brought no answer of any drive since it was asked for: there is no way to the drives.
    const isSilent = this.#heardAt < pending.deadline - this.#deadlineMilliseconds;
    if (isSilent && relayState(this.global, this.#path) !== RELAY.direct) error.threadLost = true;
    error.landed = new Promise((resolve) => {
      pending.landed = resolve;
    });
    pending.reject(error);
  }

  #startTimer(): NodeJS.Timeout {
    const period = Math.min(DEADLINE_CHECK_MILLISECONDS, Math.ceil(this.#deadlineMilliseconds / 2));
    return setInterval(() => this.#checkDeadlines(), period).unref();
  }

  #stopTimer(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #checkDeadlines(): void {
    const now = this.#now();
    for (const pending of this.#inFlight.values()) {
      if (now >= pending.deadline + DEADLINE_GRACE_MILLISECONDS) this.#giveUp(pending);
    }
    const isLate = (pending: Pending) => now >= pending.deadline;
    const late = [...this.#waiting, ...(this.#held ?? [])].filter(isLate);
    if (late.length > 0) {
      this.#waiting = this.#waiting.filter((pending) => !isLate(pending));
      if (this.#held !== undefined) this.#held = this.#held.filter((pending) => !isLate(pending));
      // The last of the requests that open drives ends the hold.
      const threadLost = this.#held !== undefined;
      for (const pending of late) {
        this.#reject(
          pending,
          pending.repeated ? "unknown" : "unreachable",
          "its thread took no request by the deadline",
          threadLost,
        );
      }
    }
    this.#pump();
    if (this.#inFlight.size + this.waiting === 0) this.#stopTimer();
  }

  #now(): number {
    return Math.floor(this.global.clock.nowMicroseconds() / 1000);
  }
}
