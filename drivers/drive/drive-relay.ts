/**
 * Serves a director that is cut off from a pool's drive thread, through this director's own path to it (US 8,099,522).
 *
 *   cut-off owner ─ its request ring ─▶ relay ─ this director's request ring ─▶ drive thread
 *                 ◀ its completion ring ─       ◀ this director's completion ring ─
 *
 * Runs on: the partner of the pool's owner; its own path to that pool is idle, as it does not own the pool. Strips lie in global
 * memory and are not touched; only what lies in mailboxes is copied, to the same place in the other mailbox. Requests keep the
 * owner's epoch, by which the drive fences; drives are opened under it on this path before the first request for each.
 * Invariants:
 *  1. Requests go on in the order in which they came, at most REQUESTS_MAX are with the drive thread.
 *  2. It touches the owner's rings only while their path is "relayed" or "restoring" (drive-relay-state.ts).
 *  3. When the owner's epoch is over, everything of it is dropped; when the drive thread's is, the owner asks again.
 */
import { Doorbell } from "../shared-memory/doorbell.ts";
import { moveRelay, RELAY, type RelayState, relayState } from "../shared-memory/drive-relay-state.ts";
import { threadEpoch } from "../shared-memory/epoch.ts";
import type { GlobalMemory } from "../shared-memory/global-memory.ts";
import { type DrivePath, drivePath, SLOT_WORDS, threadNumber } from "../shared-memory/layout.ts";
import { RingConsumer, RingProducer } from "../shared-memory/ring.ts";
import { COMPLETION_WORD, DRIVE_OPERATION, OUTCOME_DONE, REQUEST_WORD } from "./drive-slots.ts";

const REQUESTS_MAX = 128;

interface Relayed {
  /** The owner's number for it; 0: an open of the relay's own. */
  readonly requestId: number;
  readonly operation: number;
  readonly driveIndex: number;
  readonly epoch: number;
  readonly mailboxOffset: number;
}

/** Ends of four rings, while the owner is cut off. */
interface Life {
  readonly ownerEpoch: number;
  readonly fromOwner: RingConsumer;
  readonly toOwner: RingProducer;
  readonly toDrives: RingProducer;
  readonly fromDrives: RingConsumer;
  readonly pending: Map<number, Relayed>;
  /** By drive index: the epoch under which it is open on this path. */
  readonly opened: Map<number, number>;
  opening: boolean;
  /** Incarnation of the drive thread. What one had that died, the owner asks again. */
  drivesEpoch: number;
}

export interface DriveRelayOptions {
  readonly pool: number;
  /** This director. */
  readonly director: number;
  /** The one that may be cut off. */
  readonly owner: number;
  /** This director has the pool itself by now: its path is its own. */
  readonly isMine: () => boolean;
  readonly onRelayed: () => void;
}

export class DriveRelay {
  readonly #global: GlobalMemory;
  readonly #options: DriveRelayOptions;
  readonly #own: DrivePath;
  readonly #owners: DrivePath;
  readonly #drivesBell: Doorbell;
  readonly #ownerBell: Doorbell;
  readonly #ownerThread: number;
  readonly #drivesThread: number;
  #life: Life | undefined;
  #nextId = 1;

  constructor(global: GlobalMemory, options: DriveRelayOptions) {
    this.#global = global;
    this.#options = options;
    const { layout } = global;
    this.#own = drivePath(layout, options.pool, options.director);
    this.#owners = drivePath(layout, options.pool, options.owner);
    this.#ownerThread = threadNumber(layout, "director", options.owner);
    const producer = threadNumber(layout, "director", options.director);
    this.#drivesThread = threadNumber(layout, "drive", options.pool);
    this.#drivesBell = new Doorbell(global, { consumer: this.#drivesThread, producer });
    this.#ownerBell = new Doorbell(global, { consumer: this.#ownerThread, producer });
  }

  /** There is something to do, now and then, whether it is woken or not. */
  get isActive(): boolean {
    return this.#life !== undefined || relayState(this.#global, this.#owners) >= RELAY.relayed;
  }

  /** Brings on what there is; part of the director's drain. */
  pump(): boolean {
    const state = relayState(this.#global, this.#owners);
    if (state < RELAY.relayed || this.#options.isMine()) {
      this.#life = undefined;
      // Nothing is asked of this pool on that path.
      if (state === RELAY.restoring) this.#end(state);
      return false;
    }
    const life = this.#life ?? this.#begin();
    this.#life = life;
    if (threadEpoch(this.#global, this.#ownerThread) !== life.ownerEpoch) {
      this.#end(state);
      return false;
    }
    const answered = this.#takeAnswers(life);
    const drivesEpoch = threadEpoch(this.#global, this.#drivesThread);
    if (drivesEpoch !== life.drivesEpoch) {
      life.drivesEpoch = drivesEpoch;
      life.pending.clear();
      life.opened.clear();
      life.opening = false;
    }
    const sent = state === RELAY.relayed ? this.#takeRequests(life) : 0;
    if (answered > 0) this.#ownerBell.ring();
    if (sent > 0) this.#drivesBell.ring();
    if (state === RELAY.restoring && life.pending.size === 0) this.#end(state);
    return answered + sent > 0;
  }

  #begin(): Life {
    const fromDrives = new RingConsumer(this.#global, this.#own.completions);
    fromDrives.discard();
    return {
      ownerEpoch: threadEpoch(this.#global, this.#ownerThread),
      fromOwner: new RingConsumer(this.#global, this.#owners.requests),
      toOwner: new RingProducer(this.#global, this.#owners.completions),
      toDrives: new RingProducer(this.#global, this.#own.requests),
      fromDrives,
      pending: new Map(),
      opened: new Map(),
      opening: false,
      drivesEpoch: threadEpoch(this.#global, this.#drivesThread),
    };
  }

  /** The drive thread has the owner's rings again. */
  #end(state: RelayState): void {
    this.#life = undefined;
    moveRelay(this.#global, this.#owners, state, RELAY.direct);
    this.#drivesBell.ring();
  }

  #takeAnswers(life: Life): number {
    const { i32 } = this.#global;
    let answered = 0;
    for (let word = life.fromDrives.peek(); word >= 0; word = life.fromDrives.peek()) {
      const id = i32[word + COMPLETION_WORD.requestId]!;
      const relayed = life.pending.get(id);
      if (relayed !== undefined) {
        const done = i32[word + COMPLETION_WORD.outcome] === OUTCOME_DONE;
        if (relayed.requestId !== 0) {
          const slot = life.toOwner.tryReserve();
          if (slot < 0) break;
          for (let n = 0; n < SLOT_WORDS; n += 1) i32[slot + n] = i32[word + n]!;
          i32[slot + COMPLETION_WORD.requestId] = relayed.requestId;
          if (done) this.#copy(this.#own, this.#owners, relayed.mailboxOffset, i32[word + COMPLETION_WORD.answerBytes]!);
          life.toOwner.publish();
          answered += 1;
        } else life.opening = false;
        // One that could not be opened answers the request that wanted it: it says why.
        const opens = relayed.operation === DRIVE_OPERATION.open && (done || relayed.requestId === 0);
        if (opens) life.opened.set(relayed.driveIndex, relayed.epoch);
        life.pending.delete(id);
      }
      life.fromDrives.advance();
    }
    return answered;
  }

  #takeRequests(life: Life): number {
    const { i32 } = this.#global;
    let sent = 0;
    while (!life.opening && life.pending.size < REQUESTS_MAX) {
      const word = life.fromOwner.peek();
      if (word < 0) break;
      const slot = life.toDrives.tryReserve();
      if (slot < 0) break;
      for (let n = 0; n < SLOT_WORDS; n += 1) i32[slot + n] = i32[word + n]!;
      const operation = i32[word + REQUEST_WORD.operation]!;
      const driveIndex = i32[word + REQUEST_WORD.driveIndex]!;
      const epoch = i32[word + REQUEST_WORD.epoch]!;
      const mailboxOffset = i32[word + REQUEST_WORD.mailboxOffset]!;
      const needsOpen = operation !== DRIVE_OPERATION.open && operation !== DRIVE_OPERATION.identify;
      const id = this.#takeId();
      i32[slot + REQUEST_WORD.requestId] = id;
      sent += 1;
      if (needsOpen && life.opened.get(driveIndex) !== epoch) {
        i32[slot + REQUEST_WORD.operation] = DRIVE_OPERATION.open;
        i32[slot + REQUEST_WORD.requestBytes] = 0;
        i32[slot + REQUEST_WORD.answerBytesMax] = 0;
        life.pending.set(id, { requestId: 0, operation: DRIVE_OPERATION.open, driveIndex, epoch, mailboxOffset });
        life.opening = true;
        life.toDrives.publish();
        break; // what wanted it comes after it
      }
      this.#copy(this.#owners, this.#own, mailboxOffset, i32[word + REQUEST_WORD.requestBytes]!);
      const requestId = i32[word + REQUEST_WORD.requestId]!;
      life.pending.set(id, { requestId, operation, driveIndex, epoch, mailboxOffset });
      life.toDrives.publish();
      life.fromOwner.advance();
      this.#options.onRelayed();
    }
    return sent;
  }

  #copy(from: DrivePath, to: DrivePath, offset: number, bytes: number): void {
    if (bytes > 0 && offset >= 0) this.#global.kernels.copy(to.mailbox + offset, from.mailbox + offset, bytes);
  }

  #takeId(): number {
    this.#nextId = (this.#nextId % 0x7fff_ffff) + 1;
    return this.#nextId;
  }
}
