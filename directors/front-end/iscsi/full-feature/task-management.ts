/**
 * Task management (RFC 7143 §11.5, §4.2.3; SAM-6 §7): aborts, and resets of a logical unit or the target.
 *
 * Invariants:
 *  1. A function is answered only when none of the tasks it names can write any more: what still collects data is dropped at
 *     once, what is at the server is waited for and its answer suppressed.
 *  2. A target reset reaches the LUNs that are mapped when it is asked for.
 */
import { FRONT_END_COUNTERS } from "../../front-end-counters.ts";
import { TASK_MANAGEMENT_REQUEST } from "../pdu/task-management-request.ts";
import { TASK_MANAGEMENT_RESPONSE } from "../pdu/task-management-response.ts";
import { REJECT_REASON } from "../peer-error.ts";
import { distanceSN } from "../serial-number.ts";
import type { Session } from "../session.ts";
import { tellSessionDropped } from "./async-message.ts";
import type { IscsiTask } from "./iscsi-task.ts";
import { decodeLun } from "./lun.ts";
import { giveFrames } from "./reserve-frames.ts";

const C = FRONT_END_COUNTERS.slots;

const FUNCTION = {
  abortTask: 1,
  abortTaskSet: 2,
  clearAca: 3,
  clearTaskSet: 4,
  logicalUnitReset: 5,
  targetWarmReset: 6,
  targetColdReset: 7,
  taskReassign: 8,
} as const;

/** §11.6.1. */
const RESPONSE = {
  complete: 0,
  noSuchTask: 1,
  noSuchLun: 2,
  reassignNotSupported: 4,
  notSupported: 5,
  rejected: 255,
} as const;

/** Functions of one session under way; more are answered "rejected". */
const UNDER_WAY_MAX = 16;

/** One function, or one logout, that waits for tasks to end. */
export class TaskManagement {
  readonly #waitsFor: Set<IscsiTask>;
  readonly #sessions: Set<Session>;
  readonly #done: () => void;

  private constructor(waitsFor: Set<IscsiTask>, sessions: Set<Session>, done: () => void) {
    this.#waitsFor = waitsFor;
    this.#sessions = sessions;
    this.#done = done;
  }

  /** Aborts `tasks` of `session`, and those of `others`; `done` is called when none of them can write any more. */
  static start(
    session: Session,
    work: {
      readonly tasks: readonly IscsiTask[];
      readonly others?: ReadonlyMap<Session, readonly IscsiTask[]>;
      readonly done: () => void;
    },
  ): void {
    const waitsFor = new Set<IscsiTask>();
    const sessions = new Set<Session>();
    const abortAll = (owner: Session, tasks: readonly IscsiTask[]): void => {
      for (const task of tasks) {
        if (abortTask(owner, task) !== "waits") continue;
        waitsFor.add(task);
        sessions.add(owner);
      }
    };
    abortAll(session, work.tasks);
    for (const [other, tasks] of work.others ?? []) abortAll(other, tasks);
    if (waitsFor.size === 0) {
      work.done();
      return;
    }
    const management = new TaskManagement(waitsFor, sessions, work.done);
    for (const owner of sessions) owner.taskManagement.push(management);
  }

  taskEnded(task: IscsiTask): void {
    if (!this.#waitsFor.delete(task) || this.#waitsFor.size > 0) return;
    for (const owner of this.#sessions) {
      const at = owner.taskManagement.indexOf(this);
      if (at !== -1) owner.taskManagement.splice(at, 1);
    }
    this.#done();
  }
}

/** Drops a task, or marks it so that its answer is suppressed; `waits` when the server still has it. */
export function abortTask(session: Session, task: IscsiTask): "gone" | "waits" {
  if (task.state === "submitted") {
    if (!task.aborted) {
      task.aborted = true;
      session.forgetTask(task);
    }
    return "waits";
  }
  if (task.state !== "collecting" && task.state !== "ready") return "gone";
  if (task.unsolicitedOpen) session.rememberAborted(task.initiatorTaskTag);
  for (let r2t = task.r2tsDone; r2t < task.r2tsSent; r2t += 1) session.rememberAborted(task.transferTag(r2t));
  const readyAt = session.ready.indexOf(task);
  if (readyAt !== -1) session.ready.splice(readyAt, 1);
  session.frameQueue.remove(task);
  giveFrames(session.services.frames, task);
  session.forgetTask(task);
  session.freeTask(task);
  session.taskEnded(task);
  return "gone";
}

export function taskManagementRequest(session: Session, header: Buffer): void {
  session.count(C.taskManagement);
  const pdu = TASK_MANAGEMENT_REQUEST.decode(header);
  if (session.identity.discovery) {
    session.reject(REJECT_REASON.protocolError, header, 0);
    return;
  }
  if (session.taskManagement.length >= UNDER_WAY_MAX) {
    answer(session, pdu, RESPONSE.rejected);
    return;
  }
  const lun = decodeLun(header, 8);
  switch (pdu.function) {
    case FUNCTION.abortTask:
      abortOne(session, pdu, header);
      return;
    case FUNCTION.abortTaskSet:
      abortSet(session, pdu, lun, [session]);
      return;
    case FUNCTION.clearTaskSet:
      abortSet(session, pdu, lun, [...session.services.sessions()]);
      return;
    case FUNCTION.logicalUnitReset:
      resetLogicalUnit(session, pdu, lun);
      return;
    case FUNCTION.targetWarmReset:
      resetTarget(session, (all) => answer(session, pdu, all ? RESPONSE.complete : RESPONSE.rejected));
      return;
    case FUNCTION.targetColdReset:
      resetTarget(session, (all) => {
        answer(session, pdu, all ? RESPONSE.complete : RESPONSE.rejected);
        if (!all) return;
        for (const each of [...session.services.sessions()]) {
          each.endsBecause("target cold reset");
          tellSessionDropped(each);
          each.connection.finish();
        }
      });
      return;
    case FUNCTION.taskReassign:
      answer(session, pdu, RESPONSE.reassignNotSupported);
      return;
    default: // CLEAR ACA too: NormACA is not supported
      answer(session, pdu, RESPONSE.notSupported);
  }
}

function answer(session: Session, pdu: TASK_MANAGEMENT_REQUEST, response: number): void {
  if (session.phase === "ended") return;
  const { statSN, expCmdSN, maxCmdSN, tx } = session;
  const at = tx.beginHeader();
  const { initiatorTaskTag } = pdu;
  TASK_MANAGEMENT_RESPONSE.encode({ final: true, response, initiatorTaskTag, statSN, expCmdSN, maxCmdSN }, tx.slab, at);
  session.advanceStatSN();
  session.endHeader();
}

function abortOne(session: Session, pdu: TASK_MANAGEMENT_REQUEST, header: Buffer): void {
  const task = session.tasks.get(pdu.referencedTaskTag);
  if (task?.lunBytes.every((byte, i) => byte === header[8 + i])) {
    TaskManagement.start(session, { tasks: [task], done: () => answer(session, pdu, RESPONSE.complete) });
    return;
  }
  // §11.5.5 and §11.6.1: a command that is still on its way counts as received, and as aborted.
  const { refCmdSN, cmdSN } = pdu;
  const place = session.window.place(refCmdSN);
  if (task === undefined && place !== "outside" && distanceSN(refCmdSN, cmdSN) < 0) {
    session.sequence(refCmdSN, false, () => {});
    answer(session, pdu, RESPONSE.complete);
    return;
  }
  answer(session, pdu, RESPONSE.noSuchTask);
}

function lunKnown(session: Session, lun: number): boolean {
  return session.services.access().luns.includes(lun);
}

const tasksOf = (session: Session, lun: number): IscsiTask[] =>
  [...session.tasks.values()].filter((task) => task.scsi.lun === lun);

function othersOf(
  session: Session,
  sessions: Iterable<Session>,
  pick: (session: Session) => IscsiTask[],
): Map<Session, IscsiTask[]> {
  const others = new Map<Session, IscsiTask[]>();
  for (const other of sessions) if (other !== session) others.set(other, pick(other));
  return others;
}

function abortSet(session: Session, pdu: TASK_MANAGEMENT_REQUEST, lun: number, sessions: readonly Session[]): void {
  if (!lunKnown(session, lun)) {
    answer(session, pdu, RESPONSE.noSuchLun);
    return;
  }
  TaskManagement.start(session, {
    tasks: tasksOf(session, lun),
    others: othersOf(session, sessions, (other) => tasksOf(other, lun)),
    done: () => answer(session, pdu, RESPONSE.complete),
  });
}

/** Tasks of this director's sessions are aborted; the server waits for those that came through other directors. */
function resetLogicalUnit(session: Session, pdu: TASK_MANAGEMENT_REQUEST, lun: number): void {
  const { units } = session.services;
  TaskManagement.start(session, {
    tasks: tasksOf(session, lun),
    others: othersOf(session, session.services.sessions(), (other) => tasksOf(other, lun)),
    done: () =>
      units.resetLogicalUnit(session.nexus, lun, (exists, moved) =>
        // Nobody owned the unit for as long as it could wait: the initiator may ask again.
        answer(session, pdu, moved === true ? RESPONSE.rejected : exists ? RESPONSE.complete : RESPONSE.noSuchLun),
      ),
  });
}

/** @param done - told whether every unit that is there was reset */
function resetTarget(session: Session, done: (all: boolean) => void): void {
  const { services } = session;
  TaskManagement.start(session, {
    tasks: [...session.tasks.values()],
    others: othersOf(session, services.sessions(), (other) => [...other.tasks.values()]),
    done: () => {
      const luns = services.access().luns;
      let left = luns.length;
      let all = true;
      if (left === 0) done(all);
      for (const lun of luns) {
        services.units.resetLogicalUnit(session.nexus, lun, (_, moved) => {
          if (moved === true) all = false;
          left -= 1;
          if (left === 0) done(all);
        });
      }
    },
  });
}
