/**
 * Puts received write data where it belongs: straight from the socket's chunk into the task's frames.
 *
 * Data beyond what the CDB takes, or of a command that has failed, is counted and dropped.
 */
import { FRAME_BYTES } from "../../../../drivers/shared-memory/layout.ts";
import type { Session } from "../session.ts";
import type { IscsiTask } from "./iscsi-task.ts";

export function storeData(session: Session, task: IscsiTask, chunk: Buffer, start: number, end: number): void {
  const offset = task.receivedBytes;
  task.receivedBytes = offset + (end - start);
  if (!task.framesHeld || task.failure !== undefined || offset >= task.wantedBytes) return;
  const { frames, global } = session.services;
  const run = task.scsi.dataOut;
  let position = run.phase + offset;
  let from = start;
  const room = run.frameCount * FRAME_BYTES - run.phase;
  const until = start + Math.min(end - start, Math.min(task.wantedBytes, room) - offset);
  while (from < until) {
    const index = Math.floor(position / FRAME_BYTES);
    const within = position % FRAME_BYTES;
    const address = frames.addressOf(run.frames[index]!) + within;
    let bytes = Math.min(FRAME_BYTES - within, until - from);
    // Neighbouring frames take one copy: frames come as runs, and a copy's set-up costs as much as a kilobyte.
    for (let next = index + 1; bytes < until - from && next < run.frameCount; next += 1) {
      if (frames.addressOf(run.frames[next]!) !== address + bytes) break;
      bytes += Math.min(FRAME_BYTES, until - from - bytes);
    }
    global.copyIn(address, chunk, from, from + bytes);
    position += bytes;
    from += bytes;
  }
}
