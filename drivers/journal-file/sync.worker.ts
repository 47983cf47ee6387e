/**
 * The journal-sync thread of one pool: fdatasync of the journal's file, and of its mirror, for as long as there are requests.
 * Entry.
 *
 * Blocks, in waiting and in fdatasync: serves nothing else. Opens the file itself, so that it does not depend on the
 * director's descriptor and goes on after a takeover. Kernels report a lost write to each descriptor that was open, so
 * main starts this thread before the pool's owner writes.
 */
import { closeSync, fdatasyncSync, openSync } from "node:fs";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { attachGlobalMemory } from "../shared-memory/global-memory.ts";
import { beat } from "../shared-memory/heartbeat.ts";
import { type JournalCopy, JournalSyncServer } from "../shared-memory/journal-sync.ts";
import { publishKernelThread } from "../shared-memory/kernel-thread.ts";
import { threadNumber } from "../shared-memory/layout.ts";
import type { FromSyncThread, SyncThreadStart, ToSyncThread } from "./sync-thread-messages.ts";

/** How long the thread may sleep before it beats, and looks for a message. */
const WAIT_MILLISECONDS = 250;

const { transfer, pool, path, mirrorPath } = workerData as SyncThreadStart;
const port = parentPort!;
const global = attachGlobalMemory(transfer);
const thread = threadNumber(global.layout, "journalSync", pool);
const copies: readonly JournalCopy[] = mirrorPath === undefined ? [0] : [0, 1];
const server = new JournalSyncServer(global, pool, copies);
/** Descriptors of the files that can still be synced. */
const usable = new Map<JournalCopy, number>();

function post(message: FromSyncThread): void {
  port.postMessage(message);
}

function errnoOf(error: unknown): number {
  return Math.abs((error as NodeJS.ErrnoException).errno ?? 5);
}

/** No later sync of it can be trusted: pages may have been dropped. Its descriptor stays open, for nothing. */
function fail(copy: JournalCopy, error: unknown): void {
  usable.delete(copy);
  server.fail(errnoOf(error), copy);
  post({ type: "failed", copy, last: usable.size === 0, message: (error as Error).message });
}

function openFiles(): void {
  const opened = copies.map((copy) => {
    try {
      usable.set(copy, openSync(copy === 0 ? path : mirrorPath!, "r+"));
      return undefined;
    } catch (error) {
      return { copy, error };
    }
  });
  for (const failure of opened) if (failure !== undefined) fail(failure.copy, failure.error);
}

/** Until told to stop, or until the last file has failed. */
function serve(): void {
  while (usable.size > 0) {
    beat(global, thread);
    const message = receiveMessageOnPort(port)?.message as ToSyncThread | undefined;
    if (message?.type === "stop") {
      for (const descriptor of usable.values()) closeSync(descriptor);
      post({ type: "stopped" });
      return;
    }
    const ticket = server.waitForRequest(WAIT_MILLISECONDS);
    if (ticket < 0) continue;
    for (const [copy, descriptor] of usable) {
      try {
        fdatasyncSync(descriptor);
      } catch (error) {
        fail(copy, error);
      }
    }
    if (usable.size > 0) server.complete(ticket);
  }
}

publishKernelThread(global, thread);
openFiles();
if (usable.size > 0) post({ type: "ready" });
serve();
port.close();
