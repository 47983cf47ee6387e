/** What a session shares with the other sessions of its director. Made by the portal. */
import type { GlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import type { DirectorConfig } from "../../../src/config/config.ts";
import type { LogicalUnitServer } from "../../../src/scsi/task.ts";
import type { FrameSource } from "../../../src/volume/block-io.ts";
import type { ArrivalWatch } from "../arrival-watch.ts";
import type { Access } from "./login/access.ts";
import type { ReadBudget } from "./read-budget.ts";
import type { Session } from "./session.ts";

export interface FrontEndLimits {
  readonly commandWindow: number;
  /** Immediate SCSI commands of one session that may be under way; more get Reject 06. */
  readonly immediateCommandsMax: number;
  /** The largest write that is collected; a CDB that wants more gets 5/24/00. */
  readonly writeBytesMax: number;
  readonly idlePingSeconds: number;
  readonly idleTimeoutSeconds: number;
  /** A peer that takes nothing for so long is dropped. */
  readonly sendStallSeconds: number;
  /** How long a socket is held back for frames before TASK SET FULL. */
  readonly frameWaitSeconds: number;
  /** How long a write whose data was not sent yet waits for frames. */
  readonly solicitedFrameWaitSeconds: number;
  /** How long a gap in CmdSN may last: a discarded PDU that its initiator does not send again. */
  readonly commandGapSeconds: number;
}

export interface FrontEndServices {
  readonly directorIndex: number;
  readonly units: LogicalUnitServer;
  /** For data that comes unasked: immediate and unsolicited. */
  readonly frames: FrameSource;
  /** For data that is asked for by R2T: a share of its own, so that neither kind can hold all the memory while it waits. */
  readonly solicitedFrames: FrameSource;
  readonly global: GlobalMemory;
  readonly budget: ReadBudget;
  readonly counters: Float64Array;
  readonly limits: FrontEndLimits;
  readonly arrivals: ArrivalWatch;
  /** What SendTargets answers is made of. */
  readonly portals: readonly DirectorConfig["portal"][];
  access(): Access;
  nowMicroseconds(): number;
  /** Every session of this director in full feature phase. */
  sessions(): Iterable<Session>;
  /** The session's connection is gone and its last task has ended. */
  sessionEnded(session: Session): void;
}

/** What a session asks of its connection. */
export interface SessionConnection {
  /** The host sent what is worked on now no earlier than this, in microseconds of the time base. */
  readonly arrivedMicroseconds: number;
  /** Stops and starts reading of the socket, for one of the reasons below. */
  hold(reason: HoldReason): void;
  unhold(reason: HoldReason): void;
  /** Sends what is queued, then closes. */
  finish(): void;
  /** Closes at once; counted as dropped. */
  drop(why: string): void;
  /** The target does without the session: says so, then closes; counted as dropped. */
  dismiss(why: string): void;
}

export const HOLD = { frames: 1, unsent: 2 } as const;
export type HoldReason = (typeof HOLD)[keyof typeof HOLD];
