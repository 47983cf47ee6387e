/**
 * Takes a command that collects its data one step further: asks for more by R2T, submits it, or answers its failure.
 *
 * Called after everything that could have moved it on; does nothing while something is still due.
 */
import { FRONT_END_COUNTERS } from "../../front-end-counters.ts";
import { writeReadyToTransfer } from "../pdu/hot-path.ts";
import type { Session } from "../session.ts";
import type { IscsiTask } from "./iscsi-task.ts";
import { hasAllFrames, tryTakeFrames } from "./reserve-frames.ts";
import { respondFailure } from "./scsi-response.ts";

const C = FRONT_END_COUNTERS.slots;

/** One object for all: sessions of a director share a thread. */
const r2t = { initiatorTaskTag: 0, targetTransferTag: 0, r2tSN: 0, bufferOffset: 0, desiredDataTransferLength: 0 };

export function advance(session: Session, task: IscsiTask): void {
  if (task.state !== "collecting" || !task.delivered || task.unsolicitedOpen) return;
  if (task.failure !== undefined) {
    // Data that was asked for is still coming: the answer ends the task, so it waits for the last of it (RFC 7143 §11.8).
    if (!task.sequencesOpen) respondFailure(session, task);
    return;
  }
  if (task.receivedBytes >= task.wantedBytes) {
    task.scsi.dataOut.bytes = task.wantedBytes;
    session.services.counters[C.writeBytes]! += task.wantedBytes;
    session.submit(task);
    return;
  }
  if (hasAllFrames(task) || takeTheRest(session, task)) sendReadyToTransfers(session, task);
}

/** Those that wait go first: no starving of the large ones. The queue calls `advance` again. */
function takeTheRest(session: Session, task: IscsiTask): boolean {
  if (task.waitsForFrames) return false;
  const { frameQueue, services } = session;
  if (frameQueue.nobodyWaits && tryTakeFrames(services.solicitedFrames, task, task.wantedBytes)) return true;
  frameQueue.wait(task);
  return false;
}

/** Burst `index` of the solicited part: where it starts in the command's data. */
export function burstOffset(session: Session, task: IscsiTask, index: number): number {
  return task.solicitedStart + index * session.parameters.maxBurstBytes;
}

export function burstBytes(session: Session, task: IscsiTask, index: number): number {
  return Math.min(session.parameters.maxBurstBytes, task.wantedBytes - burstOffset(session, task, index));
}

/** §11.8: at most MaxOutstandingR2T at a time, each for at most MaxBurstLength; only for frames that are there. */
function sendReadyToTransfers(session: Session, task: IscsiTask): void {
  if (task.r2tsSent === 0) task.solicitedStart = task.receivedBytes;
  const { maxOutstandingR2T } = session.parameters;
  while (task.r2tsSent - task.r2tsDone < maxOutstandingR2T) {
    const bytes = burstBytes(session, task, task.r2tsSent);
    if (bytes <= 0) return;
    r2t.initiatorTaskTag = task.initiatorTaskTag;
    r2t.targetTransferTag = task.transferTag(task.r2tsSent);
    r2t.r2tSN = task.r2tsSent;
    r2t.bufferOffset = burstOffset(session, task, task.r2tsSent);
    r2t.desiredDataTransferLength = bytes;
    const at = session.tx.beginHeader();
    writeReadyToTransfer(session.tx.slab, at, r2t, task.lunBytes, session);
    session.endHeader();
    task.r2tsSent += 1;
  }
}
