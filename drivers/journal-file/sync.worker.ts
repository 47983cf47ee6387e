/**
 * The journal-sync thread of one pool: fdatasync of the journal's file, for as long as there are requests. Entry.
 *
 * Blocks, in waiting and in fdatasync: serves nothing else. Opens the file itself, so that it does not depend on the
 * director's descriptor and goes on after a takeover. Kernels report a lost write to each descriptor that was open, so
 * main starts this thread before the pool's owner writes.
 */
import { closeSync, fdatasyncSync, openSync } from "node:fs";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { attachGlobalMemory } from "../shared-memory/global-memory.ts";
import { beat } from "../shared-memory/heartbeat.ts";
import { JournalSyncServer } from "../shared-memory/journal-sync.ts";
import { publishKernelThread } from "../shared-memory/kernel-thread.ts";
import { threadNumber } from "../shared-memory/layout.ts";
import type { FromSyncThread, SyncThreadStart, ToSyncThread } from "./sync-thread-messages.ts";

/** How long the thread may sleep before it beats, and looks for a message. */
const WAIT_MILLISECONDS = 250;

const { transfer, pool, path } = workerData as SyncThreadStart;
const port = parentPort!;
const global = attachGlobalMemory(transfer);
const thread = threadNumber(global.layout, "journalSync", pool);
const server = new JournalSyncServer(global, pool);

function post(message: FromSyncThread): void {
  port.postMessage(message);
}

function errnoOf(error: unknown): number {
  return Math.abs((error as NodeJS.ErrnoException).errno ?? 5);
}

/** Until told to stop, or until fdatasync fails: then no later one can be trusted (pages may have been dropped). */
function serve(descriptor: number): void {
  for (;;) {
    beat(global, thread);
    const message = receiveMessageOnPort(port)?.message as ToSyncThread | undefined;
    if (message?.type === "stop") return;
    const ticket = server.waitForRequest(WAIT_MILLISECONDS);
    if (ticket < 0) continue;
    try {
      fdatasyncSync(descriptor);
    } catch (error) {
      server.fail(errnoOf(error));
      post({ type: "failed", message: (error as Error).message });
      return;
    }
    server.complete(ticket);
  }
}

function run(): void {
  let descriptor: number;
  try {
    descriptor = openSync(path, "r+");
  } catch (error) {
    server.fail(errnoOf(error));
    post({ type: "failed", message: (error as Error).message });
    return;
  }
  post({ type: "ready" });
  serve(descriptor);
  closeSync(descriptor);
  post({ type: "stopped" });
}

publishKernelThread(global, thread);
run();
port.close();
