/**
 * Answers a SCSI command: read data as Data-In PDUs out of pinned frames, then status (RFC 7143 §11.4, §11.7).
 *
 * Status goes along with the last Data-In (S bit) where it is good; otherwise a SCSI Response carries it with its sense.
 */
import { STATUS } from "../../../../src/scsi/task.ts";
import { FRONT_END_COUNTERS } from "../../front-end-counters.ts";
import {
  type DataInFields,
  FINAL,
  RESIDUAL_OVERFLOW,
  RESIDUAL_UNDERFLOW,
  type ScsiResponseFields,
  STATUS_PRESENT,
  writeDataIn,
  writeScsiResponse,
} from "../pdu/hot-path.ts";
import type { Session } from "../session.ts";
import type { IscsiTask } from "./iscsi-task.ts";
import { giveFrames } from "./reserve-frames.ts";
import { TRANSPORT_SENSE_BYTES, writeTransportSense } from "./transport-sense.ts";

const C = FRONT_END_COUNTERS.slots;

// One object of each for all: a session writes a PDU in one go.
const dataIn: DataInFields = {
  flags: 0,
  status: 0,
  initiatorTaskTag: 0,
  dataSN: 0,
  bufferOffset: 0,
  residualCount: 0,
  dataBytes: 0,
};
const response: ScsiResponseFields = { flags: 0, status: 0, initiatorTaskTag: 0, expDataSN: 0, residualCount: 0, dataBytes: 0 };
const residual = { flags: 0, count: 0 };
const senseSegment = Buffer.alloc(2 + 32);

/** Residual counts, §11.4.5: what the command would have moved against what the initiator expected. */
function computeResidual(expectedBytes: number, transferBytes: number): void {
  const difference = transferBytes - expectedBytes;
  residual.flags = difference > 0 ? RESIDUAL_OVERFLOW : difference < 0 ? RESIDUAL_UNDERFLOW : 0;
  residual.count = Math.abs(difference);
}

/** The answer of a command that its logical unit has completed. */
export function respond(session: Session, task: IscsiTask): void {
  const { scsi } = task;
  task.move("sending");
  // First of all: MaxCmdSN in this very answer must let the next command in, or a window of one would never open again.
  session.forgetTask(task);
  const good = scsi.status === STATUS.GOOD || scsi.status === STATUS.CONDITION_MET;
  const available = scsi.inlineDataIn !== undefined ? scsi.inlineDataIn.length : scsi.dataIn.bytes;
  const movesIn = scsi.readFlag || (available > 0 && !scsi.writeFlag);
  const sentBytes = movesIn && good ? Math.min(available, task.expectedBytes, scsi.transferBytes || available) : 0;
  // A read that failed has moved nothing; of a write the server says what it took.
  computeResidual(task.expectedBytes, movesIn && !good ? 0 : scsi.transferBytes);

  const collapsed = good && sentBytes > 0;
  if (sentBytes > 0) sendDataIn(session, task, sentBytes, collapsed);
  if (!collapsed) sendResponse(session, task, scsi.status, scsi.senseBytes);
  countAnswer(session, task, scsi.status, sentBytes);

  const inlineKept = scsi.inlineDataIn !== undefined && sentBytes > 4096;
  const pinned = inlineKept || (scsi.inlineDataIn === undefined && sentBytes > 0);
  if (pinned) {
    // The charge was made for what the initiator expected; now it is what is really pinned.
    adjustCharge(session, task, sentBytes);
    session.tx.answered(task.kind, task.receivedAt, task);
  } else {
    session.tx.answered(task.kind, task.receivedAt, undefined);
    session.taskSent(task);
  }
}

function adjustCharge(session: Session, task: IscsiTask, sentBytes: number): void {
  const charge = Math.max(sentBytes, 4096);
  if (charge === task.chargeBytes) return;
  const change = charge - task.chargeBytes;
  task.chargeBytes = charge;
  session.services.budget.add(session, change);
}

function countAnswer(session: Session, task: IscsiTask, status: number, sentBytes: number): void {
  const { counters } = session.services;
  counters[C.readCommands + task.kind]! += 1;
  counters[C.readBytes]! += sentBytes;
  if (status === STATUS.CHECK_CONDITION) counters[C.checkConditions]! += 1;
  if (status === STATUS.TASK_SET_FULL) counters[C.taskSetFull]! += 1;
}

/** Data-Ins of at most the initiator's MaxRecvDataSegmentLength, in sequences of MaxBurstLength (F ends one), §11.7.1. */
function sendDataIn(session: Session, task: IscsiTask, bytes: number, withStatus: boolean): void {
  const { scsi } = task;
  const { initiatorDataSegmentBytesMax, maxBurstBytes } = session.parameters;
  let offset = 0;
  let burstLeft = maxBurstBytes;
  while (offset < bytes) {
    const segment = Math.min(bytes - offset, initiatorDataSegmentBytesMax, burstLeft);
    burstLeft -= segment;
    const last = offset + segment === bytes;
    dataIn.flags = last || burstLeft === 0 ? FINAL : 0;
    if (burstLeft === 0) burstLeft = maxBurstBytes;
    dataIn.initiatorTaskTag = task.initiatorTaskTag;
    dataIn.dataSN = task.dataInCount;
    dataIn.bufferOffset = offset;
    dataIn.dataBytes = segment;
    if (last && withStatus) {
      dataIn.flags |= STATUS_PRESENT | residual.flags;
      dataIn.status = scsi.status;
      dataIn.residualCount = residual.count;
    }
    const at = session.tx.beginHeader();
    writeDataIn(session.tx.slab, at, dataIn, session);
    if (last && withStatus) session.advanceStatSN();
    session.endHeader();
    if (scsi.inlineDataIn !== undefined) session.tx.data(scsi.inlineDataIn.subarray(offset, offset + segment));
    else session.tx.frames(scsi.dataIn, offset, segment);
    task.dataInCount += 1;
    offset += segment;
  }
}

function sendResponse(session: Session, task: IscsiTask, status: number, senseBytes: number): void {
  response.flags = residual.flags;
  response.status = status;
  response.initiatorTaskTag = task.initiatorTaskTag;
  response.expDataSN = task.r2tsSent + task.dataInCount;
  response.residualCount = residual.count;
  response.dataBytes = senseBytes > 0 ? senseBytes + 2 : 0;
  const at = session.tx.beginHeader();
  writeScsiResponse(session.tx.slab, at, response, session);
  session.advanceStatSN();
  session.endHeader();
  if (senseBytes === 0) return;
  // §11.4.7: SenseLength, then the sense.
  senseSegment[0] = 0;
  senseSegment[1] = senseBytes;
  for (let i = 0; i < senseBytes; i += 1) senseSegment[2 + i] = task.scsi.sense[i]!;
  session.tx.data(senseSegment.subarray(0, senseBytes + 2));
}

/** The answer of a command that failed on its way in, and never reached its logical unit. */
export function respondFailure(session: Session, task: IscsiTask): void {
  giveFrames(session.services.frames, task);
  session.forgetTask(task);
  const failure = task.failure!;
  computeResidual(task.expectedBytes, 0);
  let status: number = STATUS.TASK_SET_FULL;
  if (failure !== "taskSetFull") {
    status = STATUS.CHECK_CONDITION;
    writeTransportSense(task.scsi.sense, failure);
  }
  sendResponse(session, task, status, failure === "taskSetFull" ? 0 : TRANSPORT_SENSE_BYTES);
  countAnswer(session, task, status, 0);
  session.tx.answered(task.kind, task.receivedAt, undefined);
  session.freeTask(task);
  session.taskEnded(task);
}
