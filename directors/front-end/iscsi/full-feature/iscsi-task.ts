/**
 * One SCSI command of a session, from its PDU to its last answer byte; pooled.
 *
 *   free ──begin──► collecting ──all data there──► ready ──read budget──► submitted ──onComplete──► sending ──► free
 *                        └────────── failed or aborted: answered or dropped ──────────────────────────────────► free
 *
 * Only `move` assigns the state.
 */
import { ScsiTask } from "../../../../src/scsi/task.ts";
import type { Pinned } from "../transmitter.ts";
import type { TransportSense } from "./transport-sense.ts";

export type TaskState = "free" | "collecting" | "ready" | "submitted" | "sending";

/** A switch and not a table: it runs five times for each command. */
function mayMove(from: TaskState, to: TaskState): boolean {
  switch (from) {
    case "free":
      return to === "collecting";
    case "collecting":
      return to === "ready" || to === "sending" || to === "free";
    case "ready":
      return to === "submitted" || to === "free";
    case "submitted":
      return to === "sending" || to === "free";
    case "sending":
      return to === "free";
  }
}

/** How a command ends that never reached its logical unit. */
export type TaskFailure = TransportSense | "taskSetFull";

export interface TaskOwner {
  taskCompleted(task: IscsiTask): void;
  taskSent(task: IscsiTask): void;
}

export class IscsiTask implements Pinned {
  readonly scsi: ScsiTask;
  readonly #owner: TaskOwner;
  /** Index among the session's tasks; with `generation` it makes target transfer tags. */
  readonly slot: number;
  generation = 0;
  state: TaskState = "free";

  initiatorTaskTag = 0;
  readonly lunBytes = new Uint8Array(8);
  cmdSN = 0;
  immediate = false;
  /** Its CmdSN's turn has come. */
  delivered = false;
  aborted = false;
  failure: TaskFailure | undefined = undefined;
  kind = 0;
  receivedAt = 0;

  /** EDTL: what the initiator is ready to move. */
  expectedBytes = 0;
  /** What is collected of it: no more than the CDB takes. */
  wantedBytes = 0;
  /** What of that comes unasked: immediate data, and unsolicited data that was announced. */
  unaskedBytes = 0;
  framesHeld = false;
  waitsForFrames = false;
  /** Data received so far: the offset that the next Data-Out must have (DataPDUInOrder, DataSequenceInOrder). */
  receivedBytes = 0;
  unsolicitedOpen = false;
  /** DataSN expected next in the sequence under way. */
  dataSN = 0;
  solicitedStart = 0;
  r2tsSent = 0;
  r2tsDone = 0;

  /** Bytes charged to the session's read budget. */
  chargeBytes = 0;
  dataInCount = 0;

  constructor(owner: TaskOwner, slot: number) {
    this.#owner = owner;
    this.slot = slot;
    this.scsi = new ScsiTask(() => owner.taskCompleted(this));
  }

  move(to: TaskState): void {
    if (!mayMove(this.state, to)) throw new Error(`iSCSI task: no move from ${this.state} to ${to}`);
    this.state = to;
  }

  begin(): void {
    this.move("collecting");
    this.generation = (this.generation + 1) & 0xff;
    this.delivered = false;
    this.aborted = false;
    this.failure = undefined;
    this.wantedBytes = 0;
    this.unaskedBytes = 0;
    this.framesHeld = false;
    this.waitsForFrames = false;
    this.receivedBytes = 0;
    this.dataSN = 0;
    this.solicitedStart = 0;
    this.r2tsSent = 0;
    this.r2tsDone = 0;
    this.chargeBytes = 0;
    this.dataInCount = 0;
    const { scsi } = this;
    scsi.status = 0;
    scsi.senseBytes = 0;
    scsi.inlineDataIn = undefined;
    scsi.transferBytes = 0;
    scsi.onRelease = undefined;
    scsi.dataIn.frameCount = 0;
    scsi.dataIn.bytes = 0;
    scsi.dataIn.phase = 0;
    scsi.dataOut.frameCount = 0;
    scsi.dataOut.bytes = 0;
    scsi.dataOut.phase = 0;
  }

  /** Data of it is still to come that was asked for, or announced. */
  get sequencesOpen(): boolean {
    return this.unsolicitedOpen || this.r2tsDone < this.r2tsSent;
  }

  /** Tag of R2T number `r2t`: slot 16 bits, generation 8, R2T 8. Never the reserved tag: slots stay below 65535. */
  transferTag(r2t: number): number {
    return ((this.slot << 16) | (this.generation << 8) | (r2t & 0xff)) >>> 0;
  }

  sent(): void {
    this.#owner.taskSent(this);
  }
}
