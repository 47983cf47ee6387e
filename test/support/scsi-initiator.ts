/**
 * An initiator and its transport, in one: plans and collects data-out as an iSCSI session does, submits, takes the answer,
 * and releases. Fails loudly when a task completes twice.
 */
import { type CdbDefinition, type CdbValues, encodeCdb } from "../../src/scsi/cdb/define-cdb.ts";
import { SENSE, type SenseName } from "../../src/scsi/sense.ts";
import { type DataOutPlan, growFrameRun, type LogicalUnitServer, ScsiTask, STATUS, TASK_ATTRIBUTE } from "../../src/scsi/task.ts";
import type { CountedFrames } from "./counted-frames.ts";
import { gather, scatter } from "./memory-unit.ts";

export interface Request {
  readonly lun?: number;
  readonly dataOut?: Uint8Array;
  /** Expected Data Transfer Length; what is sent, or much, when it is not given. */
  readonly expected?: number;
  readonly attribute?: number;
  readonly readFlag?: boolean;
  readonly writeFlag?: boolean;
  /** When the host sent the last of it at the earliest. */
  readonly arrivedMicroseconds?: number;
  /** What it was sent as to an owner that died. */
  readonly repeatOf?: { readonly request: number; readonly requesterEpoch: number };
}

export interface Answer {
  /** 0 until the task completes. */
  completions: number;
  status: number;
  /** "5/24/00", or empty. */
  sense: string;
  senseData: Uint8Array;
  data: Uint8Array;
  transferBytes: number;
}

const STATUS_VALUES = new Set<number>(Object.values(STATUS));

export function senseText(name: SenseName): string {
  const { key, asc, ascq } = SENSE[name];
  return [key, asc, ascq].map((value) => value.toString(16).padStart(2, "0")).join("/");
}

export class ScsiInitiator {
  readonly #target: LogicalUnitServer;
  readonly #frames: CountedFrames;
  readonly nexus: number;
  #tag = 0;
  /** Release at once, as a transport does once the data is sent; off: `releaseAll`. */
  autoRelease = true;
  readonly #toRelease: ScsiTask[] = [];

  constructor(target: LogicalUnitServer, frames: CountedFrames, nexus: number) {
    this.#target = target;
    this.#frames = frames;
    this.nexus = nexus;
    target.nexusOpened({
      nexus,
      initiatorName: `iqn.2026-11.test:${nexus}`,
      isid: "000000000000",
      directorIndex: Math.floor(nexus / 65536),
    });
  }

  send<Definition extends CdbDefinition>(
    definition: Definition,
    values: Partial<CdbValues<Definition>> = {},
    request: Request = {},
  ): Answer {
    return this.sendCdb(encodeCdb(definition, values), request);
  }

  sendCdb(cdb: Uint8Array, request: Request = {}): Answer {
    const answer: Answer = {
      completions: 0,
      status: -1,
      sense: "",
      senseData: new Uint8Array(0),
      data: new Uint8Array(0),
      transferBytes: 0,
    };
    const task = new ScsiTask((done) => this.#completed(done, answer));
    task.nexus = this.nexus;
    task.lun = request.lun ?? 0;
    this.#tag += 1;
    task.initiatorTaskTag = this.#tag;
    task.attribute = request.attribute ?? TASK_ATTRIBUTE.simple;
    task.cdb.set(cdb);
    task.writeFlag = request.writeFlag ?? request.dataOut !== undefined;
    task.readFlag = request.readFlag ?? !task.writeFlag;
    task.expectedTransferBytes = request.expected ?? request.dataOut?.length ?? 1 << 30;
    task.arrivedMicroseconds = request.arrivedMicroseconds ?? 0;
    if (request.repeatOf !== undefined) Object.assign(task, request.repeatOf, { repeat: true });
    if (task.writeFlag) this.#collect(task, (request.dataOut ?? new Uint8Array(0)).subarray(0, task.expectedTransferBytes));
    this.#target.submit(task);
    return answer;
  }

  releaseAll(): void {
    for (const task of this.#toRelease.splice(0)) task.release();
  }

  #collect(task: ScsiTask, data: Uint8Array): void {
    const plan: DataOutPlan = { bytes: -1, phase: -1 };
    this.#target.planDataOut(task.lun, task.cdb, plan);
    const bytes = Math.min(plan.bytes, data.length);
    const run = task.dataOut;
    const count = bytes === 0 ? 0 : Math.ceil((plan.phase + bytes) / 4096);
    growFrameRun(run, count);
    if (!this.#frames.tryTake(count, run.frames, 0)) throw new Error("the test has no frames left for data-out");
    run.frameCount = count;
    run.phase = plan.phase;
    run.bytes = bytes;
    scatter(this.#frames, run, data.subarray(0, bytes));
  }

  #completed(task: ScsiTask, answer: Answer): void {
    answer.completions += 1;
    if (answer.completions > 1) throw new Error("a task completed twice");
    if (!STATUS_VALUES.has(task.status)) throw new Error(`status ${task.status}`);
    if (task.dataOut.frameCount !== 0) throw new Error("data-out frames are left at completion");
    answer.status = task.status;
    if (task.status === STATUS.CHECK_CONDITION) {
      answer.senseData = task.sense.slice(0, task.senseBytes);
      answer.sense = [task.sense[2]! & 0x0f, task.sense[12]!, task.sense[13]!]
        .map((v) => v.toString(16).padStart(2, "0"))
        .join("/");
    } else if (task.senseBytes !== 0) throw new Error("sense data without CHECK CONDITION");
    answer.data = (task.inlineDataIn ?? gather(this.#frames, task.dataIn)).slice();
    answer.transferBytes = task.transferBytes;
    if (this.autoRelease) task.release();
    else this.#toRelease.push(task);
  }
}
