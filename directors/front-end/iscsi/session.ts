/**
 * One session in full feature phase: what its PDUs have in common. Each PDU's own work is in full-feature/.
 *
 * Runs on: the director's thread. Owns: its tasks, its command window, its StatSN.
 * Invariants:
 *  1. A task is in `tasks` from the PDU that starts it until its answer is queued, or it was aborted.
 *  2. A task that was submitted ends by onComplete only; `submittedCount` counts those.
 *  3. RESERVED frames of a task are handed to the server by submit, or given back; never both.
 *  4. Nothing is queued for sending once the session has ended.
 */
import { FRONT_END_COUNTERS } from "../front-end-counters.ts";
import { type FrontEndServices, HOLD, type SessionConnection } from "./front-end-services.ts";
import { CommandWindow } from "./full-feature/command-window.ts";
import { beginDataOut, endDataOut } from "./full-feature/data-out.ts";
import { dispatch } from "./full-feature/dispatch.ts";
import { FrameQueue } from "./full-feature/frame-queue.ts";
import { IscsiTask, type TaskOwner } from "./full-feature/iscsi-task.ts";
import { NopState } from "./full-feature/nop.ts";
import { beginCommand, endCommand, releaseCommand } from "./full-feature/scsi-command.ts";
import { respond } from "./full-feature/scsi-response.ts";
import { storeData } from "./full-feature/store-data.ts";
import { abortTask, type TaskManagement } from "./full-feature/task-management.ts";
import { TextExchange } from "./full-feature/text.ts";
import type { LoginIdentity } from "./login/login-conversation.ts";
import type { SessionParameters } from "./login/negotiation.ts";
import { BHS_BYTES } from "./pdu/define-bhs.ts";
import type { SequenceNumbers } from "./pdu/hot-path.ts";
import { OPCODE, RESERVED_TAG } from "./pdu/opcode.ts";
import { REJECT } from "./pdu/reject.ts";
import { REJECT_REASON, type RejectReason } from "./peer-error.ts";
import type { Chargeable } from "./read-budget.ts";
import { DATA, type DataDisposition, type Receiver } from "./receiver.ts";
import { nextSN } from "./serial-number.ts";
import type { Transmitter } from "./transmitter.ts";

const C = FRONT_END_COUNTERS.slots;
/** Slots of target transfer tags; far above what windows and budgets let be in use. */
const TASK_SLOTS_MAX = 65_535;
/** Tags of aborted tasks whose data is still on its way: it is taken in silence. */
const ABORTED_TAGS_MAX = 64;

export type SessionPhase = "open" | "loggingOut" | "ended";

export interface SessionIdentity extends LoginIdentity {
  readonly address: string;
  /** The address that the initiator has reached. */
  readonly localAddress: string;
  readonly since: string;
}

export class Session implements TaskOwner, SequenceNumbers, Chargeable {
  readonly services: FrontEndServices;
  readonly connection: SessionConnection;
  readonly identity: SessionIdentity;
  parameters: SessionParameters;
  readonly receiver: Receiver;
  readonly tx: Transmitter;
  readonly window: CommandWindow;
  readonly nexus: number;

  phase: SessionPhase = "open";
  /** Why it ends, for people; the first reason stands. Undefined: its connection went without a word. */
  endReason: string | undefined = undefined;
  statSN: number;
  /** Header of the PDU under way, where it may have to be rejected later or is not on the data path. */
  readonly header = Buffer.alloc(BHS_BYTES);
  #opcode = 0;
  /** The command or Data-Out whose data segment is being received. */
  current: IscsiTask | undefined = undefined;

  readonly tasks = new Map<number, IscsiTask>();
  readonly slots: IscsiTask[] = [];
  readonly #free: IscsiTask[] = [];
  /** Data complete, waiting for the read budget; in order. */
  readonly ready: IscsiTask[] = [];
  submittedCount = 0;
  immediateCount = 0;
  chargedBytes = 0;
  readonly taskManagement: TaskManagement[] = [];
  readonly abortedTags: number[] = [];
  readonly frameQueue: FrameQueue;
  readonly text = new TextExchange();
  readonly nop: NopState;
  gapSince = 0;
  #dropping = false;

  constructor(options: {
    readonly services: FrontEndServices;
    readonly connection: SessionConnection;
    readonly identity: SessionIdentity;
    readonly parameters: SessionParameters;
    readonly receiver: Receiver;
    readonly transmitter: Transmitter;
    readonly firstCmdSN: number;
    readonly nextStatSN: number;
  }) {
    this.services = options.services;
    this.connection = options.connection;
    this.identity = options.identity;
    this.parameters = options.parameters;
    this.receiver = options.receiver;
    this.tx = options.transmitter;
    this.window = new CommandWindow(options.services.limits.commandWindow, options.firstCmdSN);
    this.statSN = options.nextStatSN;
    this.nexus = options.services.directorIndex * 65536 + options.identity.tsih;
    this.frameQueue = new FrameQueue(this);
    this.nop = new NopState(options.services.nowMicroseconds());
  }

  get expCmdSN(): number {
    return this.window.expCmdSN;
  }

  get maxCmdSN(): number {
    return this.window.maxCmdSN;
  }

  advanceStatSN(): void {
    this.statSN = nextSN(this.statSN);
  }

  count(slot: number): void {
    this.services.counters[slot]! += 1;
  }

  // — receiving —

  onHeader(header: Buffer, at: number, ahsBytes: number, dataBytes: number): DataDisposition {
    const opcode = header[at]! & 0x3f;
    this.#opcode = opcode;
    this.current = undefined;
    if (opcode === OPCODE.scsiCommand) {
      if (dataBytes > 0) header.copy(this.header, 0, at, at + BHS_BYTES);
      return beginCommand(this, header, at, ahsBytes, dataBytes);
    }
    if (opcode === OPCODE.dataOut) {
      header.copy(this.header, 0, at, at + BHS_BYTES);
      return beginDataOut(this, header, at, ahsBytes, dataBytes);
    }
    header.copy(this.header, 0, at, at + BHS_BYTES);
    return DATA.collect;
  }

  onData(chunk: Buffer, start: number, end: number): void {
    const task = this.current;
    if (task !== undefined) storeData(this, task, chunk, start, end);
  }

  onEnd(data: Buffer, digestGood: boolean): void {
    if (!digestGood) this.count(C.dataDigestErrors);
    if (this.#opcode === OPCODE.scsiCommand) endCommand(this, digestGood);
    else if (this.#opcode === OPCODE.dataOut) endDataOut(this, digestGood);
    else if (!digestGood) this.reject(REJECT_REASON.dataDigestError, this.header, 0);
    else dispatch(this, this.#opcode, data);
    this.current = undefined;
    this.#checkUnsent();
  }

  /** A peer that asks without reading answers is not listened to until it reads. */
  #checkUnsent(): void {
    if (this.tx.unsentBytes > this.#unsentBytesMax) this.connection.hold(HOLD.unsent);
  }

  get #unsentBytesMax(): number {
    return this.services.budget.sessionShareBytes + (1 << 20);
  }

  drained(): void {
    if (this.tx.unsentBytes <= this.#unsentBytesMax / 2) this.connection.unhold(HOLD.unsent);
    this.submitReady();
  }

  /**
   * Delivers a PDU in the order of CmdSN: at once, later, or never when it is outside the window (§4.2.2.1).
   * @returns false when it was ignored
   */
  sequence(cmdSN: number, immediate: boolean, deliver: () => void): boolean {
    if (immediate) {
      deliver();
      return true;
    }
    const place = this.window.place(cmdSN);
    if (place === "outside") {
      this.count(C.ignoredCommands);
      return false;
    }
    if (place === "ahead") {
      if (this.window.heldCount === 0) this.gapSince = this.services.nowMicroseconds();
      this.window.hold(cmdSN, deliver);
      return true;
    }
    this.window.advance();
    deliver();
    if (this.window.heldCount > 0) this.deliverHeld();
    return true;
  }

  deliverHeld(): void {
    this.window.deliverHeld();
    this.gapSince = this.services.nowMicroseconds();
  }

  reject(reason: RejectReason, header: Uint8Array, at: number): void {
    if (this.phase === "ended") return;
    this.count(C.rejects);
    const to = this.tx.beginHeader();
    const { statSN, expCmdSN, maxCmdSN } = this;
    REJECT.encode(
      { final: true, reason, dataSegmentLength: BHS_BYTES, initiatorTaskTag: RESERVED_TAG, statSN, expCmdSN, maxCmdSN },
      this.tx.slab,
      to,
    );
    this.advanceStatSN();
    this.endHeader();
    this.tx.data(header.subarray(at, at + BHS_BYTES));
  }

  endHeader(): void {
    this.count(C.pdusOut);
    this.tx.endHeader();
  }

  /** MaxRecvDataSegmentLength declared anew in full feature phase. */
  declareInitiatorSegment(bytes: number): void {
    this.parameters = { ...this.parameters, initiatorDataSegmentBytesMax: bytes };
  }

  // — tasks —

  /** @returns undefined when every slot is taken: peers can't get there, windows and budgets being far smaller */
  takeTask(): IscsiTask | undefined {
    let task = this.#free.pop();
    if (task === undefined) {
      if (this.slots.length >= TASK_SLOTS_MAX) return undefined;
      task = new IscsiTask(this, this.slots.length);
      this.slots.push(task);
    }
    task.begin();
    return task;
  }

  /** Ends a task that is neither at the server nor pinned. */
  freeTask(task: IscsiTask): void {
    // Another session's function may drop a task in the middle of a data segment: the rest of it goes nowhere.
    if (this.current === task) this.current = undefined;
    task.move("free");
    this.#free.push(task);
  }

  /** The task's answer was queued, or it never gets one: its tag may be used again, and the window opens. */
  forgetTask(task: IscsiTask): void {
    this.tasks.delete(task.initiatorTaskTag);
    if (task.immediate) this.immediateCount -= 1;
    else if (task.delivered) this.window.active -= 1;
  }

  submitReady(): void {
    while (this.ready.length > 0 && this.phase !== "ended") {
      const task = this.ready[0]!;
      if (!this.services.budget.tryCharge(this, task.chargeBytes)) return;
      this.ready.shift();
      this.#submit(task);
    }
  }

  /** In order: behind a read that waits for the budget everything waits (ordered attributes need nothing more). */
  submit(task: IscsiTask): void {
    task.move("ready");
    // An initiator may expect 4 GiB; no command moves more than the largest transfer, and none may keep others from reading.
    const pinnedMax = Math.min(task.expectedBytes, this.services.limits.writeBytesMax);
    task.chargeBytes = task.scsi.readFlag ? Math.max(pinnedMax, 4096) : 0;
    if (this.ready.length === 0 && (task.chargeBytes === 0 || this.services.budget.tryCharge(this, task.chargeBytes))) {
      this.#submit(task);
      return;
    }
    this.ready.push(task);
  }

  #submit(task: IscsiTask): void {
    task.move("submitted");
    task.framesHeld = false; // the server's now
    this.submittedCount += 1;
    this.services.units.submit(task.scsi);
  }

  taskCompleted(task: IscsiTask): void {
    if (task.state !== "submitted") throw new Error("a task completed that was not submitted");
    this.submittedCount -= 1;
    if (task.aborted || this.phase === "ended") {
      task.scsi.release();
      this.uncharge(task);
      this.freeTask(task);
      this.taskEnded(task);
      return;
    }
    respond(this, task);
    this.taskEnded(task);
  }

  uncharge(task: IscsiTask): void {
    if (task.chargeBytes === 0) return;
    const bytes = task.chargeBytes;
    task.chargeBytes = 0;
    this.services.budget.add(this, -bytes);
  }

  /** Its last answer byte was taken by the kernel. */
  taskSent(task: IscsiTask): void {
    task.scsi.release();
    this.uncharge(task);
    this.freeTask(task);
  }

  budgetAvailable(): void {
    this.submitReady();
  }

  /** Task management waits for tasks to end; so does the end of the session. */
  taskEnded(task: IscsiTask): void {
    for (let i = this.taskManagement.length - 1; i >= 0; i -= 1) this.taskManagement[i]!.taskEnded(task);
    if (this.phase === "ended" && !this.#dropping && this.submittedCount === 0) this.services.sessionEnded(this);
  }

  /** Remembers the tags of a task that was aborted while data was on its way. */
  rememberAborted(tag: number): void {
    if (this.abortedTags.length >= ABORTED_TAGS_MAX) this.abortedTags.shift();
    this.abortedTags.push(tag);
  }

  // — the end —

  endsBecause(reason: string): void {
    this.endReason ??= reason;
  }

  /** The connection is gone: everything that is not at the server is dropped now, the rest when it completes. */
  end(): void {
    if (this.phase === "ended") return;
    this.phase = "ended";
    this.frameQueue.cancel();
    this.window.clear();
    this.services.budget.forget(this);
    const { current } = this;
    this.current = undefined;
    // A command whose PDU was cut off is not in `tasks` yet.
    if (current !== undefined && this.tasks.get(current.initiatorTaskTag) !== current) releaseCommand(this, current);
    // Functions of other sessions may wait for tasks of this one: they are told of each.
    this.#dropping = true;
    for (const task of [...this.tasks.values()]) abortTask(this, task);
    this.#dropping = false;
    if (this.submittedCount === 0) this.services.sessionEnded(this);
  }
}
