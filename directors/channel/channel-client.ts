/**
 * The channel's requesting end: serves logical units that another director owns, by asking it.
 *
 * Runs on: the director that the host asked. Owns: the tokens of one partner (messages.ts), and until the reply the write
 * frames and list frames of each request.
 * Invariants:
 *  1. A token is free, or stands for one task or reset; it is not used again before the reply, and the release if one is due:
 *     releases are collected, and leave before the next request does.
 *  2. Write frames are given back when the reply came, not before: the owner copies out of them.
 *  3. What finds no token or no list frames waits its turn, bounded by the sessions' windows. The frames of write data
 *     that lie here are bounded by the front end's shares (director.worker.ts), so that two directors that write through
 *     each other can't hold all frames of both while each waits for the other's.
 *  4. What the owner had not answered when it died leaves by `ownerLost`, once: to be repeated under its number, or answered.
 */
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { CHANNEL_REQUEST_WORD, CHANNEL_REQUEST_WORDS, channelRequestWords } from "../../drivers/shared-memory/layout.ts";
import {
  growFrameRun,
  type LogicalUnitServer,
  type NexusInfo,
  type NexusNumber,
  type ResetDone,
  type ScsiTask,
  STATUS,
} from "../../src/scsi/task.ts";
import type { FrameSource } from "../../src/volume/block-io.ts";
import { CHANNEL_COUNTERS } from "./channel-counters.ts";
import { putFrameList, takeFrameList } from "./frame-list.ts";
import {
  COUNT_SHIFT,
  LIST_FRAMES_MAX,
  listFramesFor,
  MESSAGE,
  putBytes,
  RELEASE,
  RELEASE_TOKENS_MAX,
  REPLY,
  REPLY_MOVED,
  REPLY_RELEASE,
  REQUEST,
  REQUEST_ARRIVED_MASK,
  REQUEST_ARRIVED_SHIFT,
  REQUEST_EXECUTED,
  REQUEST_LUN_SHIFT,
  REQUEST_READ,
  REQUEST_REPEAT,
  REQUEST_WRITE,
  RESET,
  RESET_DONE,
  RESET_MOVED,
  TOKEN_WORD,
  TOKENS,
  TRANSFER_FRAMES_MAX,
  takeBytes,
} from "./messages.ts";
import { sendNexusOpened } from "./nexus-messages.ts";
import type { Outbox } from "./outbox.ts";

const COUNT = CHANNEL_COUNTERS.slots;

/** An initiator may expect up to 4 GiB, words are signed: beyond every transfer it makes no difference how far. */
const EXPECTED_BYTES_MAX = 2 ** 31 - 1;

export interface ChannelClientOptions {
  readonly global: GlobalMemory;
  readonly outbox: Outbox;
  readonly frames: FrameSource;
  readonly counters: Float64Array;
  /** Something was sent: let it leave at the end of this turn. */
  readonly flushSoon: () => void;
  /** This director, its epoch, and the owner that is asked. */
  readonly requester: number;
  readonly epoch: number;
  readonly owner: number;
  /** The next number of a request of this director, whoever is asked. */
  readonly nextRequest: () => number;
}

interface Reset {
  readonly nexus: NexusNumber;
  readonly lun: number;
  readonly done: ResetDone;
}

/**
 * WRITE AND VERIFY, WRITE SAME, UNMAP, PERSISTENT RESERVE OUT: a part may have been executed, and overwritten since, so that they
 * are repeated by their host, or not. A WRITE is one journal record: found in the journal, or said to be done, it was executed; else
 * it was not. What else there is may be executed twice.
 */
const SEVERAL_STEPS: ReadonlySet<number> = new Set([0x2e, 0xae, 0x8e, 0x41, 0x93, 0x42, 0x5f]);

export class ChannelClient implements LogicalUnitServer {
  readonly #global: GlobalMemory;
  readonly #outbox: Outbox;
  readonly #frames: FrameSource;
  readonly #counters: Float64Array;
  readonly #flushSoon: () => void;

  readonly #freeTokens = new Int32Array(TOKENS);
  #freeCount = TOKENS;
  readonly #tasks: (ScsiTask | undefined)[] = new Array(TOKENS).fill(undefined);
  readonly #resets: (Reset | undefined)[] = new Array(TOKENS).fill(undefined);
  /** Resets that found no token: bounded by the immediate commands that sessions may have. */
  readonly #waitingResets: Reset[] = [];
  readonly #lists = new Int32Array(TOKENS * LIST_FRAMES_MAX);
  /** Tasks that wait for a token or for list frames, oldest first. */
  readonly #waitingTasks: ScsiTask[] = [];
  #listTicket: number | undefined = undefined;
  /** Tokens whose release is not sent yet. */
  readonly #released = new Int32Array(TOKENS);
  #releasedCount = 0;
  #unanswered = 0;
  /** By token: the number of a request without an answer; 0: none. */
  readonly #numbers = new Int32Array(TOKENS);
  /** First word of the requests' table in global memory. */
  readonly #table: number;
  readonly #epoch: number;
  readonly #nextRequest: () => number;
  /** The owner is dead; called when nothing refers to its frames any more. */
  #abandoned: (() => void) | undefined;
  /** Of the dead owner's answers, those whose data is not sent yet. */
  #pinned = 0;
  readonly #release: (task: ScsiTask) => void;

  constructor(options: ChannelClientOptions) {
    this.#global = options.global;
    this.#outbox = options.outbox;
    this.#frames = options.frames;
    this.#counters = options.counters;
    this.#flushSoon = options.flushSoon;
    this.#epoch = options.epoch;
    this.#nextRequest = options.nextRequest;
    this.#table = channelRequestWords(this.#global.layout, options.requester, options.owner, 0);
    this.#global.i32.fill(0, this.#table, this.#table + TOKENS * CHANNEL_REQUEST_WORDS);
    for (let n = 0; n < TOKENS; n += 1) this.#freeTokens[n] = TOKENS - 1 - n;
    this.#release = (task) => this.#onRelease(task);
  }

  planDataOut(): void {
    throw new Error("invariant: data-out is planned where the host asked, not across the channel");
  }

  submit(task: ScsiTask): void {
    const { frameCount } = task.dataOut;
    if (frameCount > TRANSFER_FRAMES_MAX) throw new Error(`invariant: a command of ${frameCount} frames`);
    if (this.#waitingTasks.length === 0 && this.#tryRequest(task)) return;
    this.#counters[COUNT.requestWaits]! += 1;
    this.#waitingTasks.push(task);
    this.#askForLists();
  }

  #tryRequest(task: ScsiTask): boolean {
    if (this.#freeCount === 0) return false;
    const lists = listFramesFor(task.dataOut.frameCount);
    const at = this.#freeTokens[this.#freeCount - 1]! * LIST_FRAMES_MAX;
    if (lists > 0 && !this.#frames.tryTake(lists, this.#lists, at)) return false;
    const token = this.#takeToken();
    this.#tasks[token] = task;
    this.#unanswered += 1;
    this.#counters[COUNT.requestsSent]! += 1;
    this.#sendRequest(task, token);
    return true;
  }

  /** A token or a frame has come back. */
  #serveWaiting(): void {
    while (this.#waitingTasks.length > 0 && this.#tryRequest(this.#waitingTasks[0]!)) this.#waitingTasks.shift();
    this.#askForLists();
  }

  #askForLists(): void {
    const first = this.#waitingTasks[0];
    if (first === undefined || this.#freeCount === 0 || this.#listTicket !== undefined) return;
    this.#listTicket = -1; // whenAvailable may call back before it returns
    const ticket = this.#frames.whenAvailable(listFramesFor(first.dataOut.frameCount), () => {
      this.#listTicket = undefined;
      this.#serveWaiting();
    });
    if (this.#listTicket === -1) this.#listTicket = ticket;
  }

  resetLogicalUnit(nexus: NexusNumber, lun: number, done: ResetDone): void {
    const reset = { nexus, lun, done };
    if (this.#freeCount === 0) this.#waitingResets.push(reset);
    else this.#sendReset(reset);
  }

  nexusOpened(info: NexusInfo): void {
    sendNexusOpened(this.#outbox, info);
    this.#flushSoon();
  }

  nexusClosed(nexus: NexusNumber): void {
    this.#outbox.begin(MESSAGE.nexusClosed, nexus);
    this.#outbox.send();
    this.#flushSoon();
  }

  /** Tasks and resets that are on their way. */
  get inFlight(): number {
    return TOKENS - this.#freeCount;
  }

  /** Tasks that are on their way and not answered. */
  get unanswered(): number {
    return this.#unanswered;
  }

  // — from the owner —

  onReply(words: Int32Array, at: number): void {
    const token = words[at + TOKEN_WORD]!;
    const task = this.#tasks[token];
    if (task === undefined) throw new Error(`invariant: a reply for token ${token}, which stands for no task`);
    this.#unanswered -= 1;
    this.#answered(token);
    const status = words[at + REPLY.status]!;
    if ((status & REPLY_MOVED) !== 0) {
      this.#giveBackLists(task, token);
      this.#freeToken(token);
      task.onMoved!(task);
      return;
    }
    this.#giveBackDataOut(task, token);
    task.status = status & 0xff;
    task.senseBytes = (status >> 8) & 0xff;
    if (task.senseBytes > 0) takeBytes(words, at + REPLY.sense, task.sense, task.sense.length);
    task.transferBytes = words[at + REPLY.transferBytes]!;
    task.inlineDataIn = undefined;
    const { dataIn } = task;
    dataIn.phase = words[at + REPLY.phase]! & ((1 << COUNT_SHIFT) - 1);
    dataIn.frameCount = words[at + REPLY.phase]! >> COUNT_SHIFT;
    dataIn.bytes = words[at + REPLY.bytes]!;
    if (dataIn.frameCount > 0) {
      growFrameRun(dataIn, dataIn.frameCount);
      takeFrameList(this.#global, { words, at: at + REPLY.frames }, dataIn.frameCount, dataIn.frames);
    }
    if ((status & REPLY_RELEASE) !== 0) {
      task.serverContext = token;
      task.onRelease = this.#release;
    } else {
      this.#freeToken(token);
    }
    task.onComplete(task);
  }

  onResetDone(words: Int32Array, at: number): void {
    const token = words[at + TOKEN_WORD]!;
    const reset = this.#resets[token];
    if (reset === undefined) throw new Error(`invariant: token ${token} stands for no reset`);
    this.#resets[token] = undefined;
    this.#freeToken(token);
    const exists = words[at + RESET_DONE.exists]!;
    reset.done(exists !== 0, exists === RESET_MOVED);
  }

  // — the owner is dead, its replies were taken —

  /**
   * Nothing goes to that owner any more. What it had not answered goes back to who sent it, to be repeated.
   * @param released - called when the hosts have been sent all that lies in the owner's frames, perhaps at once
   */
  ownerLost(released: () => void): void {
    const waiting = this.#waitingTasks.splice(0);
    const resets = [...this.#resets.filter((reset) => reset !== undefined), ...this.#waitingResets.splice(0)];
    if (this.#listTicket !== undefined) this.#frames.cancelWait(this.#listTicket);
    let pinned = 0;
    for (const reset of this.#resets) if (reset !== undefined) this.#counters[COUNT.requestsInFlight]! -= 1;
    this.#resets.fill(undefined);
    const unanswered: ScsiTask[] = [];
    for (let token = 0; token < TOKENS; token += 1) {
      const task = this.#tasks[token];
      if (task === undefined) continue;
      if (this.#numbers[token] === 0) {
        pinned += 1;
        continue;
      }
      this.#tasks[token] = undefined;
      this.#counters[COUNT.requestsInFlight]! -= 1;
      this.#giveBackLists(task, token);
      this.#markRepeat(task, token);
      unanswered.push(task);
    }
    this.#unanswered = 0;
    this.#pinned = pinned;
    this.#abandoned = released;
    if (pinned === 0) released();
    // In the order in which they were sent, then those that were not: what is done here may send to others.
    unanswered.sort((a, b) => (a.request - b.request) | 0);
    for (const task of unanswered) this.#repeat(task);
    for (const task of waiting) task.onMoved!(task);
    for (const reset of resets) reset.done(true, true);
  }

  #markRepeat(task: ScsiTask, token: number): void {
    const number = this.#numbers[token]!;
    this.#numbers[token] = 0;
    task.request = number >>> 0;
    task.requesterEpoch = this.#epoch & 0xffff;
    task.repeat = true;
    const done = this.#table + token * CHANNEL_REQUEST_WORDS + CHANNEL_REQUEST_WORD.done;
    task.executed ||= this.#global.i32[done] === number;
  }

  #repeat(task: ScsiTask): void {
    this.#counters[COUNT.requestsRepeated]! += 1;
    const opcode = task.cdb[0]!;
    if (task.executed || !SEVERAL_STEPS.has(opcode)) {
      task.onMoved!(task);
      return;
    }
    const { dataOut, dataIn } = task;
    for (let n = 0; n < dataOut.frameCount; n += 1) this.#frames.give(dataOut.frames[n]!);
    dataOut.frameCount = 0;
    dataIn.frameCount = 0;
    dataIn.bytes = 0;
    task.inlineDataIn = undefined;
    task.transferBytes = 0;
    task.senseBytes = 0;
    task.status = STATUS.BUSY;
    task.onComplete(task);
  }

  /**
   * Sends what was released. Nobody waits for it, so it wakes nobody: the owner finds it when it is awake, at the latest
   * with the next request, or when the channel says that it has lain long enough.
   */
  sendReleases(): void {
    while (this.#releasedCount > 0) {
      const count = Math.min(this.#releasedCount, RELEASE_TOKENS_MAX);
      this.#releasedCount -= count;
      this.#outbox.begin(MESSAGE.release, count);
      const { words, at } = this.#outbox;
      for (let n = 0; n < count; n += 1) words[at + RELEASE.tokens + n] = this.#released[this.#releasedCount + n]!;
      this.#outbox.sendQuietly();
    }
  }

  #sendRequest(task: ScsiTask, token: number): void {
    if (this.#releasedCount > 0) this.sendReleases();
    const { dataOut } = task;
    const number = (task.repeat ? task.request : this.#nextRequest()) | 0;
    this.#numbers[token] = number;
    // Seen by whoever sees the message, or that this thread is dead.
    this.#global.i32[this.#table + token * CHANNEL_REQUEST_WORDS + CHANNEL_REQUEST_WORD.asked] = number;
    this.#outbox.begin(MESSAGE.request, token | this.#arrivedBits(task));
    const { words, at } = this.#outbox;
    words[at + REQUEST.nexus] = task.nexus;
    words[at + REQUEST.expectedTransferBytes] = Math.min(task.expectedTransferBytes, EXPECTED_BYTES_MAX);
    words[at + REQUEST.volume] = task.volume;
    words[at + REQUEST.initiatorTaskTag] = task.initiatorTaskTag;
    words[at + REQUEST.flags] =
      task.attribute |
      (task.readFlag ? REQUEST_READ : 0) |
      (task.writeFlag ? REQUEST_WRITE : 0) |
      (task.repeat ? REQUEST_REPEAT : 0) |
      (task.executed ? REQUEST_EXECUTED : 0) |
      (task.lun << REQUEST_LUN_SHIFT);
    putBytes(words, at + REQUEST.cdb, task.cdb, 16);
    words[at + REQUEST.phaseAndCount] = dataOut.phase | (dataOut.frameCount << COUNT_SHIFT);
    words[at + REQUEST.bytes] = dataOut.bytes;
    words[at + REQUEST.request] = number;
    const place = { words, at: at + REQUEST.frames };
    putFrameList(this.#global, place, dataOut.frames, dataOut.frameCount, this.#lists, token * LIST_FRAMES_MAX);
    this.#outbox.send();
    this.#flushSoon();
  }

  #sendReset(reset: Reset): void {
    if (this.#releasedCount > 0) this.sendReleases();
    const token = this.#takeToken();
    this.#resets[token] = reset;
    this.#outbox.begin(MESSAGE.reset, token);
    this.#outbox.words[this.#outbox.at + RESET.nexus] = reset.nexus;
    this.#outbox.words[this.#outbox.at + RESET.lun] = reset.lun;
    this.#outbox.send();
    this.#flushSoon();
  }

  /** When it came, in whole milliseconds; one that came before what the bits can tell came as long ago as they can. */
  #arrivedBits(task: ScsiTask): number {
    const arrived = task.arrivedMicroseconds === 0 ? this.#global.clock.nowMicroseconds() : task.arrivedMicroseconds;
    return (Math.floor(arrived / 1000) & REQUEST_ARRIVED_MASK) << REQUEST_ARRIVED_SHIFT;
  }

  #answered(token: number): void {
    this.#numbers[token] = 0;
    this.#global.i32[this.#table + token * CHANNEL_REQUEST_WORDS + CHANNEL_REQUEST_WORD.asked] = 0;
  }

  #giveBackLists(task: ScsiTask, token: number): void {
    const lists = listFramesFor(task.dataOut.frameCount);
    for (let n = 0; n < lists; n += 1) this.#frames.give(this.#lists[token * LIST_FRAMES_MAX + n]!);
  }

  #giveBackDataOut(task: ScsiTask, token: number): void {
    const { dataOut } = task;
    this.#giveBackLists(task, token);
    for (let n = 0; n < dataOut.frameCount; n += 1) this.#frames.give(dataOut.frames[n]!);
    dataOut.frameCount = 0;
  }

  #onRelease(task: ScsiTask): void {
    const token = task.serverContext as number;
    task.serverContext = undefined;
    if (this.#abandoned !== undefined) {
      this.#tasks[token] = undefined;
      this.#counters[COUNT.requestsInFlight]! -= 1;
      this.#pinned -= 1;
      if (this.#pinned === 0) this.#abandoned();
      return;
    }
    this.#released[this.#releasedCount] = token;
    this.#releasedCount += 1;
    this.#flushSoon();
    this.#freeToken(token);
  }

  #takeToken(): number {
    this.#freeCount -= 1;
    this.#counters[COUNT.requestsInFlight]! += 1;
    return this.#freeTokens[this.#freeCount]!;
  }

  #freeToken(token: number): void {
    this.#tasks[token] = undefined;
    this.#freeTokens[this.#freeCount] = token;
    this.#freeCount += 1;
    this.#counters[COUNT.requestsInFlight]! -= 1;
    const reset = this.#waitingResets.shift();
    if (reset !== undefined) this.#sendReset(reset);
    else if (this.#waitingTasks.length > 0) this.#serveWaiting();
  }
}
