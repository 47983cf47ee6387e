/**
 * The channel's owning end: does what another director's hosts ask of volumes that this director owns.
 *
 * Runs on: the owner's thread. Owns: one task for each token of the partner; the frames that it took for write data until
 * the logical unit takes them over; list and copy frames of a reply until its release.
 * Invariants:
 *  1. Write data is copied into the owner's own frames before the task is submitted.
 *  2. Requests, resets and the end of a nexus take effect in the order in which they came: when one waits for frames, those
 *     behind it wait too (replies and releases don't: they free frames).
 *  3. Data-in frames stay pinned until the partner's release.
 *  4. Once the partner's epoch is over, nothing that it asked for begins to change anything (`RemoteTask.revoked`); its pins,
 *     its nexuses, and what waited, go with `abandon`.
 * What waits is bounded by the partner's tokens.
 */
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import {
  CHANNEL_REQUEST_WORD,
  CHANNEL_REQUEST_WORDS,
  channelRequestWords,
  FRAME_BYTES,
  frameAddress,
} from "../../drivers/shared-memory/layout.ts";
import { growFrameRun, type LogicalUnitServer, type NexusInfo, type NexusNumber, ScsiTask, STATUS } from "../../src/scsi/task.ts";
import type { FrameSource } from "../../src/volume/block-io.ts";
import { CHANNEL_COUNTERS } from "./channel-counters.ts";
import { putFrameList, takeFrameList } from "./frame-list.ts";
import {
  COUNT_SHIFT,
  listFramesFor,
  MESSAGE,
  putBytes,
  RELEASE,
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
  takeBytes,
} from "./messages.ts";
import { NexusAssembler } from "./nexus-messages.ts";
import type { Outbox } from "./outbox.ts";

const COUNT = CHANNEL_COUNTERS.slots;

export interface ChannelServerOptions {
  readonly global: GlobalMemory;
  readonly outbox: Outbox;
  readonly frames: FrameSource;
  readonly server: LogicalUnitServer;
  readonly counters: Float64Array;
  readonly flushSoon: () => void;
  /** This director, and the partner in its present life. */
  readonly owner: number;
  readonly requester: number;
  readonly requesterEpoch: number;
  /** Whether that life is over. */
  readonly isFenced: () => boolean;
}

/** A command of the partner's. */
class RemoteTask extends ScsiTask {
  readonly token: number;
  readonly #isFenced: () => boolean;
  /** idle → held (waits for frames) → submitted → replied (until release) → idle */
  state: "idle" | "held" | "submitted" | "replied" = "idle";
  /** The partner's frames with the write data; their count is dataOut.frameCount. */
  source = new Int32Array(64);
  /** Our frames that hold what the reply refers to: copies of inline data first, then lists. */
  replyFrames = new Int32Array(4);
  replyFrameCount = 0;

  constructor(token: number, onComplete: (task: ScsiTask) => void, isFenced: () => boolean) {
    super(onComplete);
    this.token = token;
    this.#isFenced = isFenced;
  }

  override get revoked(): boolean {
    return this.#isFenced();
  }
}

/** Something that must keep its place behind a request that waits for frames. False: it must go on waiting. */
interface HeldStep {
  readonly frames: number;
  readonly run: () => boolean;
}

export class ChannelServer {
  readonly #global: GlobalMemory;
  readonly #outbox: Outbox;
  readonly #frames: FrameSource;
  readonly #server: LogicalUnitServer;
  readonly #counters: Float64Array;
  readonly #flushSoon: () => void;
  readonly #tasks: (RemoteTask | undefined)[] = new Array(TOKENS).fill(undefined);
  readonly #held: HeldStep[] = [];
  readonly #assembler = new NexusAssembler();
  readonly #completed: (task: ScsiTask) => void;
  readonly #movedAway: (task: ScsiTask) => void;
  readonly #requesterEpoch: number;
  readonly #isFenced: () => boolean;
  /** First word of the requests' table in global memory. */
  readonly #table: number;
  /** Of the partner's hosts. */
  readonly #nexuses = new Set<NexusNumber>();
  #heldTicket: number | undefined;
  #abandoned = false;

  constructor(options: ChannelServerOptions) {
    this.#global = options.global;
    this.#outbox = options.outbox;
    this.#frames = options.frames;
    this.#server = options.server;
    this.#counters = options.counters;
    this.#flushSoon = options.flushSoon;
    this.#completed = (task) => this.#reply(task as RemoteTask);
    this.#movedAway = (task) => this.#replyMoved(task as RemoteTask);
    this.#requesterEpoch = options.requesterEpoch;
    this.#isFenced = options.isFenced;
    this.#table = channelRequestWords(this.#global.layout, options.requester, options.owner, 0);
  }

  onRequest(words: Int32Array, at: number): void {
    const task = this.#taskOf(words[at + TOKEN_WORD]! & (TOKENS - 1));
    if (task.state !== "idle") throw new Error(`invariant: token ${task.token} is ${task.state} when a request comes`);
    this.#readRequest(task, words, at);
    this.#counters[COUNT.requestsServed]! += 1;
    if (this.#held.length === 0 && this.#start(task)) return;
    task.state = "held";
    this.#counters[COUNT.frameWaits]! += 1;
    this.#hold({ frames: task.dataOut.frameCount, run: () => this.#start(task) });
  }

  onRelease(words: Int32Array, at: number): void {
    const count = words[at + TOKEN_WORD]!;
    for (let n = 0; n < count; n += 1) {
      const task = this.#taskOf(words[at + RELEASE.tokens + n]!);
      if (task.state !== "replied") throw new Error(`invariant: token ${task.token} is ${task.state} when a release comes`);
      this.#finish(task);
    }
  }

  onReset(words: Int32Array, at: number): void {
    const token = words[at + TOKEN_WORD]!;
    const nexus = words[at + RESET.nexus]!;
    const lun = words[at + RESET.lun]!;
    this.#inOrder(() => {
      this.#server.resetLogicalUnit(nexus, lun, (exists, moved = false) => {
        if (this.#abandoned) return;
        this.#outbox.begin(MESSAGE.resetDone, token);
        this.#outbox.words[this.#outbox.at + RESET_DONE.exists] = moved ? RESET_MOVED : exists ? 1 : 0;
        this.#outbox.send();
        this.#flushSoon();
      });
    });
  }

  onNexus(kind: number, words: Int32Array, at: number): void {
    if (kind === MESSAGE.nexusClosed) {
      const nexus = words[at + TOKEN_WORD]!;
      this.#inOrder(() => {
        this.#nexuses.delete(nexus);
        this.#server.nexusClosed(nexus);
      });
      return;
    }
    const info: NexusInfo | undefined = this.#assembler.take(kind, words, at);
    if (info === undefined) return;
    this.#inOrder(() => {
      this.#nexuses.add(info.nexus);
      this.#server.nexusOpened(info);
    });
  }

  /** The partner's life is over: nothing of it is begun any more, nobody waits for the rest. */
  abandon(): void {
    if (this.#abandoned) return;
    this.#abandoned = true;
    this.#held.length = 0;
    if (this.#heldTicket !== undefined) this.#frames.cancelWait(this.#heldTicket);
    for (const task of this.#tasks) {
      if (task === undefined) continue;
      if (task.state === "held")
        task.state = "idle"; // its data is in frames of the partner
      else if (task.state === "replied") this.#finish(task);
      else if (task.state === "submitted") this.#server.abandon?.(task);
    }
    for (const nexus of this.#nexuses) this.#server.nexusClosed(nexus);
    this.#nexuses.clear();
  }

  // — order —

  #inOrder(run: () => void): void {
    if (this.#held.length === 0) {
      run();
      return;
    }
    this.#hold({
      frames: 0,
      run: () => {
        run();
        return true;
      },
    });
  }

  #hold(step: HeldStep): void {
    this.#held.push(step);
    if (this.#held.length === 1) this.#waitForFrames(step.frames);
  }

  #waitForFrames(count: number): void {
    this.#heldTicket = -1; // whenAvailable may call back before it returns
    const ticket = this.#frames.whenAvailable(count, () => {
      this.#heldTicket = undefined;
      this.#runHeld();
    });
    if (this.#heldTicket === -1) this.#heldTicket = ticket;
  }

  #runHeld(): void {
    for (let step = this.#held[0]; step !== undefined; step = this.#held[0]) {
      if (!step.run()) {
        this.#waitForFrames(step.frames);
        return;
      }
      this.#held.shift();
    }
  }

  // — one task —

  #taskOf(token: number): RemoteTask {
    const known = this.#tasks[token];
    if (known !== undefined) return known;
    if (!(token >= 0 && token < TOKENS)) throw new Error(`invariant: token ${token}`);
    const made = new RemoteTask(token, this.#completed, this.#isFenced);
    made.onMoved = this.#movedAway;
    made.requesterEpoch = this.#requesterEpoch & 0xffff;
    this.#tasks[token] = made;
    return made;
  }

  #readRequest(task: RemoteTask, words: Int32Array, at: number): void {
    const { dataOut } = task;
    task.nexus = words[at + REQUEST.nexus]!;
    task.expectedTransferBytes = words[at + REQUEST.expectedTransferBytes]!;
    task.volume = words[at + REQUEST.volume]!;
    task.initiatorTaskTag = words[at + REQUEST.initiatorTaskTag]! >>> 0;
    const flags = words[at + REQUEST.flags]!;
    task.lun = flags >> REQUEST_LUN_SHIFT;
    task.attribute = flags & 0xff;
    task.readFlag = (flags & REQUEST_READ) !== 0;
    task.writeFlag = (flags & REQUEST_WRITE) !== 0;
    task.repeat = (flags & REQUEST_REPEAT) !== 0;
    task.executed = (flags & REQUEST_EXECUTED) !== 0;
    task.request = words[at + REQUEST.request]! >>> 0;
    task.arrivedMicroseconds = task.readFlag ? 0 : this.#arrival(words[at + TOKEN_WORD]! >>> REQUEST_ARRIVED_SHIFT);
    takeBytes(words, at + REQUEST.cdb, task.cdb, 16);
    const phaseAndCount = words[at + REQUEST.phaseAndCount]!;
    dataOut.phase = phaseAndCount & ((1 << COUNT_SHIFT) - 1);
    dataOut.bytes = words[at + REQUEST.bytes]!;
    dataOut.frameCount = phaseAndCount >> COUNT_SHIFT;
    if (dataOut.frameCount > 0) {
      growFrameRun(dataOut, dataOut.frameCount);
      if (task.source.length < dataOut.frameCount) task.source = new Int32Array(dataOut.frames.length);
      takeFrameList(this.#global, { words, at: at + REQUEST.frames }, dataOut.frameCount, task.source);
    }
    task.senseBytes = 0;
    task.transferBytes = 0;
    task.inlineDataIn = undefined;
    task.dataIn.frameCount = 0;
    task.dataIn.bytes = 0;
    task.dataIn.phase = 0;
  }

  /** In microseconds, from the lower bits of its milliseconds. */
  #arrival(bits: number): number {
    const now = this.#global.clock.nowMicroseconds();
    return now - ((Math.floor(now / 1000) - bits) & REQUEST_ARRIVED_MASK) * 1000;
  }

  /** False: there are no frames for the write data now. */
  #start(task: RemoteTask): boolean {
    const { frameCount, frames } = task.dataOut;
    if (frameCount > 0) {
      if (!this.#frames.tryTake(frameCount, frames, 0)) return false;
      this.#copyDataOut(task);
    }
    task.state = "submitted";
    this.#server.submit(task);
    return true;
  }

  #copyDataOut(task: RemoteTask): void {
    const { frames, frameCount, phase, bytes } = task.dataOut;
    const { source } = task;
    const end = phase + bytes;
    for (let n = 0; n < frameCount; ) {
      let run = 1;
      while (n + run < frameCount && source[n + run] === source[n]! + run && frames[n + run] === frames[n]! + run) run += 1;
      const from = n === 0 ? phase : 0;
      const to = Math.min((n + run) * FRAME_BYTES, end) - n * FRAME_BYTES;
      const { layout, kernels } = this.#global;
      kernels.copy(frameAddress(layout, frames[n]!) + from, frameAddress(layout, source[n]!) + from, to - from);
      n += run;
    }
    this.#counters[COUNT.bytesCopied]! += bytes;
  }

  #replyMoved(task: RemoteTask): void {
    const { dataOut } = task;
    for (let n = 0; n < dataOut.frameCount; n += 1) this.#frames.give(dataOut.frames[n]!);
    dataOut.frameCount = 0;
    if (!this.#abandoned) {
      this.#outbox.begin(MESSAGE.reply, task.token);
      this.#outbox.words[this.#outbox.at + REPLY.status] = REPLY_MOVED;
      this.#outbox.send();
      this.#flushSoon();
    }
    task.state = "idle";
  }

  #reply(task: RemoteTask): void {
    if (this.#abandoned) {
      this.#finish(task);
      return;
    }
    const inlineFrames = Math.ceil((task.inlineDataIn?.length ?? 0) / FRAME_BYTES);
    const dataFrames = inlineFrames > 0 ? inlineFrames : task.dataIn.frameCount;
    const count = inlineFrames + listFramesFor(dataFrames);
    if (count > 0) {
      if (task.replyFrames.length < count) task.replyFrames = new Int32Array(count);
      if (!this.#frames.tryTake(count, task.replyFrames, 0)) {
        this.#counters[COUNT.frameWaits]! += 1;
        this.#frames.whenAvailable(count, () => this.#reply(task));
        return;
      }
      task.replyFrameCount = count;
      if (inlineFrames > 0) this.#copyInline(task, inlineFrames);
    }
    task.state = "replied";
    this.#sendReply(task, inlineFrames, dataFrames);
    if (dataFrames === 0) this.#finish(task);
  }

  #copyInline(task: RemoteTask, inlineFrames: number): void {
    const data = task.inlineDataIn!;
    for (let n = 0; n < inlineFrames; n += 1) {
      this.#frames.view(task.replyFrames[n]!).set(data.subarray(n * FRAME_BYTES, (n + 1) * FRAME_BYTES));
    }
  }

  #sendReply(task: RemoteTask, inlineFrames: number, dataFrames: number): void {
    const inline = inlineFrames > 0;
    // Before the reply, which may find no room in the ring: known to have been done even if this director dies with it.
    if (task.writeFlag && task.status === STATUS.GOOD) {
      this.#global.i32[this.#table + task.token * CHANNEL_REQUEST_WORDS + CHANNEL_REQUEST_WORD.done] = task.request | 0;
    }
    this.#outbox.begin(MESSAGE.reply, task.token);
    const { words, at } = this.#outbox;
    words[at + REPLY.status] = task.status | (task.senseBytes << 8) | (dataFrames > 0 ? REPLY_RELEASE : 0);
    words[at + REPLY.transferBytes] = task.transferBytes;
    words[at + REPLY.phase] = (inline ? 0 : task.dataIn.phase) | (dataFrames << COUNT_SHIFT);
    words[at + REPLY.bytes] = inline ? task.inlineDataIn!.length : task.dataIn.bytes;
    if (task.senseBytes > 0) putBytes(words, at + REPLY.sense, task.sense, task.sense.length);
    const frames = inline ? task.replyFrames : task.dataIn.frames;
    putFrameList(this.#global, { words, at: at + REPLY.frames }, frames, dataFrames, task.replyFrames, inlineFrames);
    this.#outbox.send();
    this.#flushSoon();
  }

  #finish(task: RemoteTask): void {
    for (let n = 0; n < task.replyFrameCount; n += 1) this.#frames.give(task.replyFrames[n]!);
    task.replyFrameCount = 0;
    task.state = "idle";
    task.release();
  }
}
