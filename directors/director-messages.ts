/** What main and a director post to each other: who owns what, pools to open and to hand over, the partners' lives, the end. */
import type { MessagePort } from "node:worker_threads";
import type { GlobalMemoryTransfer } from "../drivers/shared-memory/global-memory.ts";
import type { Config } from "../src/config/config.ts";
import type { DirectorFault, Ownership } from "../src/control/contract.ts";

/** A director, from its start or return to its end. */
export interface DirectorLife {
  readonly director: number;
  /** As main raised it for the start: the thread's epoch is another one as soon as that life is over. */
  readonly epoch: number;
}

export interface DirectorStart {
  readonly transfer: GlobalMemoryTransfer;
  readonly config: Config;
  readonly directorIndex: number;
  /** To the control plane; in the transfer list too. */
  readonly control: MessagePort;
  /** What it is to open at once: none when it comes back after its death. */
  readonly pools: readonly DirectorPool[];
  /** The other directors that run, as main knew them when it started this one. */
  readonly partners: readonly DirectorLife[];
}

/** A pool that a director is to open. */
export interface DirectorPool {
  readonly index: number;
  readonly journal: JournalPlace;
  /** Where its second copy is, if it is to have one. */
  readonly mirror?: JournalPlace;
  /** It was open before in this process: all that its journal holds was recovered, or written, by it. */
  readonly openedBefore: boolean;
}

export interface JournalPlace {
  readonly path: string;
  /** There was no such file: main has made a blank one. */
  readonly made: boolean;
}

export type ToDirector =
  /** Close portals, end sessions, make journals durable; answered by "stopped". Of the array, or of this director alone. */
  | { readonly type: "stop"; readonly restart: boolean }
  | { readonly type: "ownership"; readonly ownership: Ownership }
  /** Its owner is dead and joined, or has handed it over. Answered by "opened". */
  | { readonly type: "openPool"; readonly pool: DirectorPool }
  /** It will go to another director: what is dirty goes to the drives, while it serves on. Answered by "prepared". */
  | { readonly type: "preparePool"; readonly pool: number }
  /** No director sends new tasks: end those that are in, come to rest, let go. Answered by "closed". */
  | { readonly type: "closePool"; readonly pool: number }
  /** A director is fenced and joined. Answered by "released", when nothing here refers to its memory any more. */
  | { readonly type: "partnerLost"; readonly director: number }
  /** It runs again, under a new thread epoch. */
  | { readonly type: "partnerReturned"; readonly partner: DirectorLife }
  | { readonly type: "fault"; readonly fault: DirectorFault };

export type FromDirector =
  /** Its first pools are open, or have failed: it can serve. */
  | { readonly type: "ready"; readonly failed: readonly number[] }
  | { readonly type: "opened"; readonly pool: number; readonly served: boolean }
  | { readonly type: "prepared"; readonly pool: number }
  | { readonly type: "closed"; readonly pool: number }
  /** Unasked: a pool that was open, or is being opened, can't be served. */
  | { readonly type: "poolFailed"; readonly pool: number }
  /** Unasked: a pool that was open can't be served any more as it is in memory, and is to be opened anew. */
  | { readonly type: "poolReopens"; readonly pool: number }
  /** Of one that failed, whose drives could not be reached: they can again. */
  | { readonly type: "poolReachable"; readonly pool: number }
  /** Unasked: it is to be opened anew, at once: it has lost drives, or has one back. */
  | { readonly type: "poolReopens"; readonly pool: number }
  | { readonly type: "released"; readonly director: number }
  | { readonly type: "stopped" };
