/**
 * What main and a pool's journal-sync thread post to each other. Requests to sync go over words of global memory.
 *
 * Main starts `sync.worker.js` with `workerData: SyncThreadStart`, after the file was made and before its owner writes.
 */

import type { GlobalMemoryTransfer } from "../shared-memory/global-memory.ts";
import type { JournalCopy } from "../shared-memory/journal-sync.ts";

export interface SyncThreadStart {
  readonly transfer: GlobalMemoryTransfer;
  readonly pool: number;
  /** The journal's file. */
  readonly path: string;
  /** Its second copy, if it has one. */
  readonly mirrorPath?: string;
}

/** The thread looks for it four times a second; it is also safe to terminate at any time. */
export type ToSyncThread = { readonly type: "stop" };

export type FromSyncThread =
  | { readonly type: "ready" }
  /** A file can't be made durable any more. Directors hear of it by their words; with the last one the thread ends. */
  | { readonly type: "failed"; readonly copy: JournalCopy; readonly last: boolean; readonly message: string }
  | { readonly type: "stopped" };
