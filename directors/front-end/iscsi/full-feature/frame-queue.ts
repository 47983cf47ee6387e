/**
 * Write commands of one session that wait for frames, in order.
 *
 * A command whose data is on its way already (immediate, unsolicited) can only wait at the front: its data comes next on
 * the socket, which is held back meanwhile. Others just get their R2T later.
 * Invariants:
 *  1. A command takes all the frames it needs, or none: commands that hold frames never wait for frames.
 *  2. At most one ticket of FrameSource is out for each session; a command waits for a bounded time.
 */
import { FRONT_END_COUNTERS } from "../../front-end-counters.ts";
import { HOLD } from "../front-end-services.ts";
import { DATA } from "../receiver.ts";
import type { Session } from "../session.ts";
import { advance } from "./advance.ts";
import type { IscsiTask } from "./iscsi-task.ts";
import { frameCountOf, tryTakeFrames } from "./reserve-frames.ts";

const C = FRONT_END_COUNTERS.slots;

interface Waiter {
  readonly task: IscsiTask;
  readonly until: number;
}

export class FrameQueue {
  readonly #session: Session;
  /** The command at whose data the socket stands. */
  #stalled: Waiter | undefined = undefined;
  readonly #waiters: Waiter[] = [];
  #ticket: number | undefined = undefined;
  readonly #ready = (): void => this.#framesReady();

  constructor(session: Session) {
    this.#session = session;
  }

  get empty(): boolean {
    return this.#stalled === undefined && this.#waiters.length === 0;
  }

  /** The socket stops at this command's data. */
  stall(task: IscsiTask): void {
    const { services, connection } = this.#session;
    this.#session.count(C.frameWaits);
    task.waitsForFrames = true;
    this.#stalled = { task, until: services.nowMicroseconds() + services.limits.frameWaitSeconds * 1e6 };
    connection.hold(HOLD.frames);
    this.#ask();
  }

  wait(task: IscsiTask): void {
    const { services } = this.#session;
    this.#session.count(C.frameWaits);
    task.waitsForFrames = true;
    this.#waiters.push({ task, until: services.nowMicroseconds() + services.limits.solicitedFrameWaitSeconds * 1e6 });
    this.#ask();
  }

  remove(task: IscsiTask): void {
    if (!task.waitsForFrames) return;
    task.waitsForFrames = false;
    const at = this.#waiters.findIndex((waiter) => waiter.task === task);
    if (at !== -1) this.#waiters.splice(at, 1);
  }

  cancel(): void {
    if (this.#ticket !== undefined) this.#session.services.frames.cancelWait(this.#ticket);
    this.#ticket = undefined;
    this.#stalled = undefined;
    this.#waiters.length = 0;
  }

  #ask(): void {
    if (this.#ticket !== undefined) return;
    const first = this.#stalled ?? this.#waiters[0];
    if (first === undefined) return;
    this.#ticket = -1; // whenAvailable may call back before it returns
    const ticket = this.#session.services.frames.whenAvailable(frameCountOf(first.task), this.#ready);
    if (this.#ticket === -1) this.#ticket = ticket;
  }

  #framesReady(): void {
    this.#ticket = undefined;
    const { services } = this.#session;
    const stalled = this.#stalled;
    if (stalled !== undefined && tryTakeFrames(services.frames, stalled.task)) this.#unstall(stalled.task);
    while (this.#waiters.length > 0 && tryTakeFrames(services.frames, this.#waiters[0]!.task)) {
      const { task } = this.#waiters.shift()!;
      task.waitsForFrames = false;
      advance(this.#session, task);
    }
    this.#ask();
  }

  #unstall(task: IscsiTask): void {
    this.#stalled = undefined;
    task.waitsForFrames = false;
    this.#session.receiver.decide(DATA.stream);
    this.#session.connection.unhold(HOLD.frames);
  }

  /** Gives up on those that waited too long: their data goes nowhere, and they are answered TASK SET FULL. */
  tick(now: number): void {
    const stalled = this.#stalled;
    if (stalled !== undefined && now >= stalled.until) {
      this.#fail(stalled.task);
      this.#unstall(stalled.task);
    }
    while (this.#waiters.length > 0 && now >= this.#waiters[0]!.until) {
      const { task } = this.#waiters.shift()!;
      task.waitsForFrames = false;
      this.#fail(task);
      advance(this.#session, task);
    }
    if (this.empty && this.#ticket !== undefined) {
      this.#session.services.frames.cancelWait(this.#ticket);
      this.#ticket = undefined;
    }
  }

  #fail(task: IscsiTask): void {
    task.failure ??= "taskSetFull";
  }
}
