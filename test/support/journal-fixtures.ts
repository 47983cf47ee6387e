/** A FileJournal with its sync thread (from dist/), and the main thread as its director. */
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { createJournalFile } from "../../drivers/journal-file/create-journal-file.ts";
import { type FileJournal, openJournalFile } from "../../drivers/journal-file/file-journal.ts";
import type { FromSyncThread, ToSyncThread } from "../../drivers/journal-file/sync-thread-messages.ts";
import { EventLoopDoorbell } from "../../drivers/shared-memory/doorbell.ts";
import { threadNumber } from "../../drivers/shared-memory/layout.ts";
import { temporaryFolder, testGlobalMemory } from "./drive-fixtures.ts";

export async function journalWithThread(bytes: number, options: { syncPath?: string; mirrorPath?: string } = {}) {
  const temporary = temporaryFolder();
  const path = join(temporary.path, "journal");
  createJournalFile(path, bytes);
  const memory = testGlobalMemory();
  const { global, transfer } = memory;
  const worker = new Worker(new URL("../../dist/drivers/journal-file/sync.worker.js", import.meta.url), {
    workerData: { transfer, pool: 0, path: options.syncPath ?? path, mirrorPath: options.mirrorPath },
  });
  const messages: FromSyncThread[] = [];
  worker.on("message", (message: FromSyncThread) => messages.push(message));
  await new Promise<void>((ready, fail) => {
    worker.once("message", () => ready());
    worker.once("error", fail);
    worker.once("exit", (code) => fail(new Error(`the sync thread ended with ${code} before it was ready`)));
  });
  let journal: FileJournal | undefined;
  const doorbell = new EventLoopDoorbell(global, threadNumber(global.layout, "director", 0));
  doorbell.consume(() => journal?.drain() ?? false);
  return {
    path,
    global,
    worker,
    messages,
    open: async () => {
      journal = openJournalFile(path, { global, pool: 0, director: 0 });
      return journal;
    },
    dispose: async () => {
      const ended = new Promise((resolve) => worker.once("exit", resolve));
      const stop: ToSyncThread = { type: "stop" };
      worker.postMessage(stop);
      await Promise.race([ended, worker.terminate()]);
      doorbell.stop();
      temporary.remove();
    },
  };
}
