/** What main and a director post to each other: start and stop. All else goes between director and control plane. */
import type { MessagePort } from "node:worker_threads";
import type { GlobalMemoryTransfer } from "../drivers/shared-memory/global-memory.ts";
import type { Config } from "../src/config/config.ts";

export interface DirectorStart {
  readonly transfer: GlobalMemoryTransfer;
  readonly config: Config;
  readonly directorIndex: number;
  /** To the control plane; in the transfer list too. */
  readonly control: MessagePort;
  readonly pools: readonly DirectorPool[];
}

/** A pool that this director owns. */
export interface DirectorPool {
  readonly index: number;
  readonly journalFile: string;
  /** There was no such file: main has made a blank one. */
  readonly journalMade: boolean;
}

export type ToDirector =
  /** Close portals, end sessions, make journals durable; answered by "stopped". */
  { readonly type: "stop" };

export type FromDirector = { readonly type: "stopped" };
