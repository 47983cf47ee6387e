/**
 * SCSI Command (RFC 7143 §11.3): checks it, makes its task, finds room for its data, and delivers it in CmdSN's order.
 *
 * The header is worked on before its immediate data comes; the command counts as received when that data is there and its
 * digest is right.
 */
import { TASK_ATTRIBUTE } from "../../../../src/scsi/task.ts";
import { FRONT_END_COUNTERS, KIND } from "../../front-end-counters.ts";
import { checkAhs } from "../pdu/additional-header-segment.ts";
import { BHS_BYTES } from "../pdu/define-bhs.ts";
import {
  COMMAND_ATTRIBUTE_MASK,
  COMMAND_READ,
  COMMAND_WRITE,
  cmdSNOf,
  expectedDataTransferLengthOf,
  FINAL,
  initiatorTaskTagOf,
} from "../pdu/hot-path.ts";
import { RESERVED_TAG } from "../pdu/opcode.ts";
import { REJECT_REASON, type RejectReason } from "../peer-error.ts";
import { DATA, type DataDisposition } from "../receiver.ts";
import type { Session } from "../session.ts";
import { advance } from "./advance.ts";
import type { IscsiTask, TaskFailure } from "./iscsi-task.ts";
import { decodeLun } from "./lun.ts";
import { giveFrames, tryTakeFrames } from "./reserve-frames.ts";

const C = FRONT_END_COUNTERS.slots;
const IMMEDIATE = 0x40;

/** One object for all: planDataOut fills it in and nobody keeps it. */
const plan = { bytes: 0, phase: 0 };

export function beginCommand(session: Session, header: Buffer, at: number, ahsBytes: number, dataBytes: number): DataDisposition {
  const immediate = (header[at]! & IMMEDIATE) !== 0;
  const cmdSN = cmdSNOf(header, at);
  // Outside the window: ignored in silence, before anything else is looked at (§4.2.2.1).
  if (!immediate && session.window.place(cmdSN) === "outside") {
    session.count(C.ignoredCommands);
    return DATA.discard;
  }
  if (ahsBytes > 0) {
    const verdict = checkAhs(header, at + BHS_BYTES, ahsBytes);
    if (verdict === "pastEnd") {
      session.connection.drop("an additional header segment runs past its end");
      return DATA.discard;
    }
    if (verdict === "unknownType") return refuse(session, REJECT_REASON.invalidPduField, header, at);
  }
  const reason = refusal(session, immediate, initiatorTaskTagOf(header, at));
  if (reason !== undefined) return refuse(session, reason, header, at);
  const task = session.takeTask();
  if (task === undefined) return refuse(session, REJECT_REASON.longOperationReject, header, at);
  session.current = task;
  fill(session, task, header, at);
  task.failure = findFailure(session, task, (header[at + 1]! & FINAL) === 0, dataBytes);
  planData(session, task);
  if (task.wantedBytes > 0 && task.failure === undefined) return findRoom(session, task, dataBytes);
  return dataBytes > 0 ? DATA.stream : DATA.discard;
}

function refusal(session: Session, immediate: boolean, initiatorTaskTag: number): RejectReason | undefined {
  if (session.phase !== "open" || session.nop.logoutAsked) return REJECT_REASON.waitingForLogout;
  // §4.3: a discovery session carries text and logout only.
  if (session.identity.discovery) return REJECT_REASON.protocolError;
  if (immediate && session.immediateCount >= session.services.limits.immediateCommandsMax)
    return REJECT_REASON.immediateCommandReject;
  if (initiatorTaskTag === RESERVED_TAG) return REJECT_REASON.invalidPduField;
  return session.tasks.has(initiatorTaskTag) ? REJECT_REASON.taskInProgress : undefined;
}

/** The PDU was received, so its CmdSN is used up, though no task begins. */
function refuse(session: Session, reason: RejectReason, header: Buffer, at: number): DataDisposition {
  const immediate = (header[at]! & IMMEDIATE) !== 0;
  session.sequence(cmdSNOf(header, at), immediate, () => {});
  session.reject(reason, header, at);
  return DATA.discard;
}

function fill(session: Session, task: IscsiTask, header: Buffer, at: number): void {
  const flags = header[at + 1]!;
  task.receivedAt = session.services.nowMicroseconds();
  task.immediate = (header[at]! & IMMEDIATE) !== 0;
  task.initiatorTaskTag = initiatorTaskTagOf(header, at);
  task.cmdSN = cmdSNOf(header, at);
  task.expectedBytes = expectedDataTransferLengthOf(header, at);
  task.unsolicitedOpen = (flags & COMMAND_WRITE) !== 0 && (flags & FINAL) === 0;
  for (let i = 0; i < 8; i += 1) task.lunBytes[i] = header[at + 8 + i]!;
  const { scsi } = task;
  scsi.nexus = session.nexus;
  scsi.lun = decodeLun(header, at + 8);
  scsi.initiatorTaskTag = task.initiatorTaskTag;
  const attribute = flags & COMMAND_ATTRIBUTE_MASK;
  scsi.attribute = attribute > TASK_ATTRIBUTE.aca ? TASK_ATTRIBUTE.simple : attribute;
  for (let i = 0; i < 16; i += 1) scsi.cdb[i] = header[at + 32 + i]!;
  scsi.readFlag = (flags & COMMAND_READ) !== 0;
  scsi.writeFlag = (flags & COMMAND_WRITE) !== 0;
  scsi.expectedTransferBytes = task.expectedBytes;
  scsi.request = 0;
  scsi.requesterEpoch = 0;
  scsi.repeat = false;
  scsi.executed = false;
  task.kind = scsi.readFlag ? KIND.read : scsi.writeFlag ? KIND.write : KIND.other;
}

function findFailure(session: Session, task: IscsiTask, notFinal: boolean, dataBytes: number): TaskFailure | undefined {
  const { readFlag, writeFlag } = task.scsi;
  const { parameters } = session;
  // Bidirectional commands are not supported; no command set of a block device has them.
  if (readFlag && writeFlag) return "invalidFieldInCdb";
  if (dataBytes > 0 && (!writeFlag || !parameters.immediateData)) return "unexpectedUnsolicitedData";
  if (writeFlag && notFinal && parameters.initialR2T) return "unexpectedUnsolicitedData";
  if (dataBytes > Math.min(parameters.firstBurstBytes, task.expectedBytes)) return "incorrectAmountOfData";
  return undefined;
}

function planData(session: Session, task: IscsiTask): void {
  if (!task.scsi.writeFlag || task.failure !== undefined) return;
  plan.bytes = 0;
  plan.phase = 0;
  session.services.units.planDataOut(task.scsi.lun, task.scsi.cdb, plan);
  task.wantedBytes = Math.min(task.expectedBytes, plan.bytes);
  task.scsi.dataOut.phase = plan.phase;
  if (task.wantedBytes > session.services.limits.writeBytesMax) task.failure = "invalidFieldInCdb";
}

/** Frames for the data that comes unasked. For the rest they are taken when it is asked for (advance.ts). */
function findRoom(session: Session, task: IscsiTask, dataBytes: number): DataDisposition {
  if (dataBytes === 0 && !task.unsolicitedOpen) return DATA.discard;
  const unasked = task.unsolicitedOpen ? session.parameters.firstBurstBytes : dataBytes;
  task.unaskedBytes = Math.min(task.wantedBytes, unasked);
  if (tryTakeFrames(session.services.frames, task, task.unaskedBytes)) return DATA.stream;
  session.frameQueue.stall(task);
  return DATA.wait;
}

export function endCommand(session: Session, digestGood: boolean): void {
  const task = session.current;
  if (task === undefined) return;
  if (!digestGood) {
    // §7.8: the PDU was never received; its CmdSN stays free for the initiator to send it again.
    releaseCommand(session, task);
    session.reject(REJECT_REASON.dataDigestError, session.header, 0);
    return;
  }
  task.scsi.arrivedMicroseconds = session.connection.arrivedMicroseconds;
  session.tasks.set(task.initiatorTaskTag, task);
  if (task.immediate) {
    session.immediateCount += 1;
    task.delivered = true;
    advance(session, task);
    return;
  }
  if (task.cmdSN === session.window.expCmdSN) {
    session.window.advance();
    deliver(session, task);
    if (session.window.heldCount > 0) session.deliverHeld();
    return;
  }
  const { generation } = task;
  session.sequence(task.cmdSN, false, () => {
    // Aborted while it waited for its turn: only its CmdSN is left of it.
    if (task.generation === generation && task.state !== "free") deliver(session, task);
  });
}

function deliver(session: Session, task: IscsiTask): void {
  session.window.active += 1;
  task.delivered = true;
  advance(session, task);
}

/** Drops a command whose PDU is not complete: nobody knows of it yet. */
export function releaseCommand(session: Session, task: IscsiTask): void {
  session.frameQueue.remove(task);
  giveFrames(session.services.frames, task);
  session.freeTask(task);
}
