/**
 * The drive thread of one pool: opens its drives and serves them to directors. Entry: wiring only.
 *
 * Outlives directors. Blocks in LevelDB and the file system as it likes; serves no socket.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EventLoopDoorbell } from "../shared-memory/doorbell.ts";
import { attachGlobalMemory } from "../shared-memory/global-memory.ts";
import { beat } from "../shared-memory/heartbeat.ts";
import { publishKernelThread } from "../shared-memory/kernel-thread.ts";
import { threadNumber } from "../shared-memory/layout.ts";
import { watchVitals } from "../shared-memory/thread-vitals.ts";
import { DriveServer } from "./drive-server.ts";
import type { DriveState, DriveThreadStart, FromDriveThread, ToDriveThread } from "./drive-thread-messages.ts";
import { PoolDrives } from "./pool-drives.ts";

const HEARTBEAT_MILLISECONDS = 250;
/** LevelDB goes on with open files whose folder is gone: until this time has passed, that drive's writes lead nowhere. */
const FOLDER_WATCH_MILLISECONDS = 1000;

const { transfer, pool, drives } = workerData as DriveThreadStart;
const port = parentPort!;
const global = attachGlobalMemory(transfer);
const thread = threadNumber(global.layout, "drive", pool);
const server = new DriveServer(global, pool);
const poolDrives = new PoolDrives(global, server, (drive) => post({ type: "driveGone", drive }));
const doorbell = new EventLoopDoorbell(global, thread);
const heartbeat = setInterval(() => beat(global, thread), HEARTBEAT_MILLISECONDS);
const folderWatch = setInterval(() => poolDrives.watchFolders(), FOLDER_WATCH_MILLISECONDS);

function post(message: FromDriveThread): void {
  port.postMessage(message);
}

async function stop(): Promise<void> {
  doorbell.stop();
  poolDrives.letGo();
  await server.idle();
  await poolDrives.closeAll();
  clearInterval(heartbeat);
  clearInterval(folderWatch);
  post({ type: "stopped" });
  port.close();
}

/** Messages are worked on one after the other. */
let turn = Promise.resolve();

async function handle(message: ToDriveThread): Promise<void> {
  switch (message.type) {
    case "openDrive":
      return post({ type: "drive", drive: await poolDrives.open(message.drive) });
    case "closeDrive":
      return post({ type: "drive", drive: await poolDrives.close(message.driveIndex) });
    case "setFaults":
      return post({
        type: "faultsSet",
        driveIndex: message.driveIndex,
        open: poolDrives.setFaults(message.driveIndex, message.faults),
      });
    case "faults":
      return post({ type: "faults", drives: poolDrives.faults() });
    case "quiet":
      // Not in turn: a drive may take long over what it has.
      void server.quiet(message.director).then(() => post({ type: "quiet", director: message.director }));
      return;
    case "throw":
      throw new Error("the drive thread throws, as it was told to");
    case "stop":
      return stop();
  }
}

port.on("message", (message: ToDriveThread) => {
  turn = turn.then(() => handle(message));
});

publishKernelThread(global, thread);
watchVitals(global, thread);
beat(global, thread);
// All at once: each waits for its disk most of the time, and a start waits for the slowest, not for the sum.
const states: readonly DriveState[] = await Promise.all(drives.map((drive) => poolDrives.open(drive)));
doorbell.consume(() => server.drain());
post({ type: "ready", drives: states });
