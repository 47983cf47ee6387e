/**
 * Write commands of one session that wait for frames, in order.
 *
 * Two kinds wait apart. A command whose data comes unasked (immediate, unsolicited) can only wait at the front: its data
 * is next on the socket, which is held back meanwhile. Others wait for the frames of what they will ask for; their socket
 * goes on, and their R2T comes later.
 * Invariants:
 *  1. For what it asks for, a command takes all the frames it lacks, or none.
 *  2. At most one ticket of each share is out for a session; a command waits for a bounded time.
 */
import { FRONT_END_COUNTERS } from "../../front-end-counters.ts";
import { HOLD } from "../front-end-services.ts";
import { DATA } from "../receiver.ts";
import type { Session } from "../session.ts";
import { advance } from "./advance.ts";
import type { IscsiTask } from "./iscsi-task.ts";
import { framesMissing, tryTakeFrames } from "./reserve-frames.ts";

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
  #stalledTicket: number | undefined = undefined;
  #waitersTicket: number | undefined = undefined;

  constructor(session: Session) {
    this.#session = session;
  }

  get nobodyWaits(): boolean {
    return this.#waiters.length === 0;
  }

  /** The socket stops at this command's data. */
  stall(task: IscsiTask): void {
    const { services, connection } = this.#session;
    this.#session.count(C.frameWaits);
    task.waitsForFrames = true;
    this.#stalled = { task, until: services.nowMicroseconds() + services.limits.frameWaitSeconds * 1e6 };
    connection.hold(HOLD.frames);
    this.#askForStalled();
  }

  wait(task: IscsiTask): void {
    const { services } = this.#session;
    this.#session.count(C.frameWaits);
    task.waitsForFrames = true;
    this.#waiters.push({ task, until: services.nowMicroseconds() + services.limits.solicitedFrameWaitSeconds * 1e6 });
    this.#askForWaiters();
  }

  remove(task: IscsiTask): void {
    if (!task.waitsForFrames) return;
    task.waitsForFrames = false;
    const at = this.#waiters.findIndex((waiter) => waiter.task === task);
    if (at !== -1) this.#waiters.splice(at, 1);
  }

  cancel(): void {
    const { frames, solicitedFrames } = this.#session.services;
    if (this.#stalledTicket !== undefined) frames.cancelWait(this.#stalledTicket);
    if (this.#waitersTicket !== undefined) solicitedFrames.cancelWait(this.#waitersTicket);
    this.#stalledTicket = undefined;
    this.#waitersTicket = undefined;
    this.#stalled = undefined;
    this.#waiters.length = 0;
  }

  #askForStalled(): void {
    const stalled = this.#stalled;
    if (stalled === undefined || this.#stalledTicket !== undefined) return;
    this.#stalledTicket = -1; // whenAvailable may call back before it returns
    const count = framesMissing(stalled.task, stalled.task.unaskedBytes);
    const ticket = this.#session.services.frames.whenAvailable(count, () => this.#stalledReady());
    if (this.#stalledTicket === -1) this.#stalledTicket = ticket;
  }

  #stalledReady(): void {
    this.#stalledTicket = undefined;
    const task = this.#stalled?.task;
    if (task === undefined) return;
    if (tryTakeFrames(this.#session.services.frames, task, task.unaskedBytes)) this.#unstall(task);
    else this.#askForStalled();
  }

  #askForWaiters(): void {
    const first = this.#waiters[0];
    if (first === undefined || this.#waitersTicket !== undefined) return;
    this.#waitersTicket = -1;
    const count = framesMissing(first.task, first.task.wantedBytes);
    const ticket = this.#session.services.solicitedFrames.whenAvailable(count, () => this.#waitersReady());
    if (this.#waitersTicket === -1) this.#waitersTicket = ticket;
  }

  #waitersReady(): void {
    this.#waitersTicket = undefined;
    const { solicitedFrames } = this.#session.services;
    for (let first = this.#waiters[0]; first !== undefined; first = this.#waiters[0]) {
      if (!tryTakeFrames(solicitedFrames, first.task, first.task.wantedBytes)) break;
      this.#waiters.shift();
      first.task.waitsForFrames = false;
      advance(this.#session, first.task);
    }
    this.#askForWaiters();
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
    const { frames, solicitedFrames } = this.#session.services;
    if (this.#stalled === undefined && this.#stalledTicket !== undefined) {
      frames.cancelWait(this.#stalledTicket);
      this.#stalledTicket = undefined;
    }
    if (this.#waiters.length === 0 && this.#waitersTicket !== undefined) {
      solicitedFrames.cancelWait(this.#waitersTicket);
      this.#waitersTicket = undefined;
    }
  }

  #fail(task: IscsiTask): void {
    task.failure ??= "taskSetFull";
  }
}
