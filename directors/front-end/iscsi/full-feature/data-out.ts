/**
 * SCSI Data-Out (RFC 7143 §11.7): unsolicited data by initiator task tag, solicited data by target transfer tag.
 *
 * A PDU that fits no task, or whose place in its task's data is wrong, is rejected and its data dropped: nothing is written
 * outside what was asked for. One that fits, but shows that data was lost or is of the wrong amount, fails its task.
 */

import { bufferOffsetOf, dataSNOf, FINAL, initiatorTaskTagOf, targetTransferTagOf } from "../pdu/hot-path.ts";
import { RESERVED_TAG } from "../pdu/opcode.ts";
import { REJECT_REASON } from "../peer-error.ts";
import { DATA, type DataDisposition } from "../receiver.ts";
import { nextSN } from "../serial-number.ts";
import type { Session } from "../session.ts";
import { advance, burstBytes, burstOffset } from "./advance.ts";
import type { IscsiTask } from "./iscsi-task.ts";

export function beginDataOut(session: Session, header: Buffer, at: number, ahsBytes: number, dataBytes: number): DataDisposition {
  const transferTag = targetTransferTagOf(header, at);
  const unsolicited = transferTag === RESERVED_TAG;
  const task = unsolicited ? findUnsolicited(session, header, at) : findSolicited(session, transferTag, header, at);
  if (task === undefined) {
    if (!takeAborted(session, unsolicited ? initiatorTaskTagOf(header, at) : transferTag, header, at)) {
      session.reject(REJECT_REASON.invalidPduField, header, at);
    }
    return DATA.discard;
  }
  const offset = bufferOffsetOf(header, at);
  const dataSN = dataSNOf(header, at);
  if (dataSN !== task.dataSN) {
    // §7.7: at ErrorRecoveryLevel 0 what was lost stays lost. Offsets go on from here, so that the sequence can end.
    task.failure ??= "protocolServiceCrcError";
    task.dataSN = dataSN;
    task.receivedBytes = Math.max(task.receivedBytes, Math.min(offset, task.expectedBytes));
  } else if (offset !== task.receivedBytes || ahsBytes > 0) {
    session.reject(REJECT_REASON.invalidPduField, header, at);
    return DATA.discard;
  }
  if (unsolicited) {
    const { firstBurstBytes } = session.parameters;
    if (task.receivedBytes + dataBytes > Math.min(firstBurstBytes, task.expectedBytes)) task.failure ??= "incorrectAmountOfData";
  } else {
    const burst = task.r2tsDone;
    const left = burstOffset(session, task, burst) + burstBytes(session, task, burst) - task.receivedBytes;
    if (dataBytes > left && task.failure === undefined) {
      session.reject(REJECT_REASON.invalidPduField, header, at);
      return DATA.discard;
    }
  }
  session.current = task;
  return DATA.stream;
}

function findUnsolicited(session: Session, header: Buffer, at: number): IscsiTask | undefined {
  const task = session.tasks.get(initiatorTaskTagOf(header, at));
  return task?.state === "collecting" && task.unsolicitedOpen ? task : undefined;
}

/** The tag must be that of the R2T whose data is due (DataSequenceInOrder), with its task tag and LUN (§11.7.4). */
function findSolicited(session: Session, transferTag: number, header: Buffer, at: number): IscsiTask | undefined {
  const task = session.slots[transferTag >>> 16];
  if (task === undefined || task.state !== "collecting" || task.r2tsDone >= task.r2tsSent) return undefined;
  if (task.transferTag(task.r2tsDone) !== transferTag || task.initiatorTaskTag !== initiatorTaskTagOf(header, at))
    return undefined;
  for (let i = 0; i < 8; i += 1) if (header[at + 8 + i] !== task.lunBytes[i]) return undefined;
  return task;
}

/** Data of an aborted task that was on its way is no error. */
function takeAborted(session: Session, tag: number, header: Buffer, at: number): boolean {
  const known = session.abortedTags.indexOf(tag);
  if (known === -1) return session.phase !== "open";
  if ((header[at + 1]! & FINAL) !== 0) session.abortedTags.splice(known, 1);
  return true;
}

export function endDataOut(session: Session, digestGood: boolean): void {
  const task = session.current;
  if (task === undefined || task.state !== "collecting") return;
  if (!digestGood) {
    session.reject(REJECT_REASON.dataDigestError, session.header, 0);
    task.failure ??= "protocolServiceCrcError";
  }
  // Who sends data has not given the path up: the last of it counts.
  task.scsi.arrivedMicroseconds = session.connection.arrivedMicroseconds;
  task.dataSN = nextSN(task.dataSN);
  const final = (session.header[1]! & FINAL) !== 0;
  if (targetTransferTagOf(session.header, 0) === RESERVED_TAG) {
    if (final) endUnsolicited(session, task);
  } else {
    const end = burstOffset(session, task, task.r2tsDone) + burstBytes(session, task, task.r2tsDone);
    if (final || task.receivedBytes >= end) endBurst(task, end, final);
  }
  advance(session, task);
}

function endUnsolicited(session: Session, task: IscsiTask): void {
  task.unsolicitedOpen = false;
  task.dataSN = 0;
  // §11.4.7.2: where more is to come than FirstBurstLength, unsolicited Data-Outs must fill it up exactly.
  const { firstBurstBytes } = session.parameters;
  if (task.expectedBytes > firstBurstBytes && task.receivedBytes !== firstBurstBytes) task.failure ??= "incorrectAmountOfData";
}

function endBurst(task: IscsiTask, end: number, final: boolean): void {
  if (task.receivedBytes !== end || !final) task.failure ??= "incorrectAmountOfData";
  task.receivedBytes = end;
  task.r2tsDone += 1;
  task.dataSN = 0;
}
