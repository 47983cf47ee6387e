/**
 * A director: front end (FA), embedded storage logic, back end (DA), channel (CA), thread pool. Wiring only.
 *
 *   attach ─▶ frames, channel, doorbell ─▶ pools opened and recovered ─▶ "opened" ─▶ requests of the control plane ─▶ portal
 *
 * Runs on: a thread of its own; everything made here belongs to it. What is thrown and not caught ends the thread, and
 * main has its pools taken over. Once it is fenced it does nothing more: it looks for that at the end of each turn, before
 * anything is stored or sent.
 */
import { parentPort, workerData } from "node:worker_threads";
import { counterBlock } from "../drivers/shared-memory/counters.ts";
import { EventLoopDoorbell } from "../drivers/shared-memory/doorbell.ts";
import { raiseThreadEpoch, threadEpoch } from "../drivers/shared-memory/epoch.ts";
import { FrameChunks } from "../drivers/shared-memory/frame-chunks.ts";
import { attachGlobalMemory } from "../drivers/shared-memory/global-memory.ts";
import { beat } from "../drivers/shared-memory/heartbeat.ts";
import { publishKernelThread } from "../drivers/shared-memory/kernel-thread.ts";
import { FRAME_BYTES, threadNumber } from "../drivers/shared-memory/layout.ts";
import { watchVitals } from "../drivers/shared-memory/thread-vitals.ts";
import { FramePool } from "../src/cache/frame-pool.ts";
import type { ArrayEvent, DirectorMessage, DirectorRequest } from "../src/control/contract.ts";
import { TRANSFER_BYTES_MAX } from "../src/scsi/block-limits.ts";
import { DeviceServer } from "../src/scsi/device-server.ts";
import { Target } from "../src/scsi/target.ts";
import { PoolService } from "../src/volume/pool-service.ts";
import { DriveRelays } from "./back-end/drive-relays.ts";
import { endsAsItIs } from "./back-end/owned-pool.ts";
import { poolRuntime } from "./back-end/pool-runtime.ts";
import { AnswerNap } from "./channel/answer-nap.ts";
import { Channel } from "./channel/channel.ts";
import { CHANNEL_COUNTERS } from "./channel/channel-counters.ts";
import { TRANSFER_FRAMES_MAX } from "./channel/messages.ts";
import { DIRECTOR_COUNTERS } from "./director-counters.ts";
import { suffer } from "./director-faults.ts";
import type { DirectorStart, FromDirector, ToDirector } from "./director-messages.ts";
import { DirectorRequests, type DirectorServices } from "./director-requests.ts";
import { EventPost } from "./event-post.ts";
import { FRONT_END_COUNTERS } from "./front-end/front-end-counters.ts";
import { Portal } from "./front-end/portal.ts";
import { HaltPoll } from "./halt-poll.ts";
import { PoolMoves } from "./pool-moves.ts";
import { threadPoolBulkWork } from "./thread-pool/bulk-work.ts";
import { ThreadPool } from "./thread-pool/thread-pool.ts";
import { shareOf, touchMemory } from "./thread-pool/touch-memory.ts";
import { TurnEnd } from "./turn-end.ts";
import { TurnStages } from "./turn-stages.ts";

const HEARTBEAT_MILLISECONDS = 100;
const HOUSEKEEPING_MILLISECONDS = 1000;
/** Sessions get so long to log out when they are asked to. The whole stop of the array has five seconds. */
const ENDS = {
  stop: { graceSeconds: 1, why: "the array stops" },
  restart: { graceSeconds: 3, why: "its director is restarted on command" },
} as const;

/**
 * Write data that waits: for the rest of its command's data, or for the director that owns the volume. Neither share can
 * fill the memory, so that what the channel brings from other directors always finds room here.
 */
const UNASKED_SHARE = { fraction: 0.4, least: 512 };
const SOLICITED_SHARE = { fraction: 0.4, least: TRANSFER_FRAMES_MAX };

// A command's data, at any phase, must fit through the channel.
if (TRANSFER_BYTES_MAX + FRAME_BYTES > TRANSFER_FRAMES_MAX * FRAME_BYTES)
  throw new Error("invariant: transfers outgrow the channel");

const { transfer, config, directorIndex, control, pools: firstPools, partners } = workerData as DirectorStart;
const main = parentPort!;
const director = config.directors[directorIndex]!;
const global = attachGlobalMemory(transfer);
const thread = threadNumber(global.layout, "director", directorIndex);
const epoch = threadEpoch(global, thread);
const counters = counterBlock(global, "director", directorIndex);
const C = DIRECTOR_COUNTERS.slots;

const tellControl = (message: DirectorMessage): void => control.postMessage(message);
const tellMain = (message: FromDirector): void => main.postMessage(message);
const events = new EventPost(
  (event: ArrayEvent) => tellControl({ kind: "event", event }),
  () => performance.now(),
);

publishKernelThread(global, thread);
watchVitals(global, thread);
beat(global, thread);
setInterval(() => beat(global, thread), HEARTBEAT_MILLISECONDS);

/** A thread that was held up may wake up after its partner has taken over. */
function endIfFenced(): void {
  if (threadEpoch(global, thread) !== epoch) process.exit(1);
}

/**
 * What ends the thread from within ends its epoch first: before its sockets close, and hosts repeat elsewhere what they had asked
 * here, the other directors begin nothing that it sent them.
 */
process.once("uncaughtExceptionMonitor", () => raiseThreadEpoch(global, thread));
process.once("exit", () => {
  if (threadEpoch(global, thread) === epoch) raiseThreadEpoch(global, thread);
});

const turnEnd = new TurnEnd(setImmediate, new TurnStages(global, directorIndex));
turnEnd.onBegin = endIfFenced;
const frontEndCounters = counterBlock(global, "frontEnd", directorIndex);
const channelCounters = counterBlock(global, "channel", directorIndex);
const haltPoll = new HaltPoll({
  commands: () => frontEndCounters[FRONT_END_COUNTERS.slots.pdusIn]! + channelCounters[CHANNEL_COUNTERS.slots.requestsServed]!,
  nowMicroseconds: () => global.clock.nowMicroseconds(),
});
const frames = new FramePool({
  global,
  chunks: new FrameChunks(global),
  directorIndex,
  directorCount: config.directors.length,
  dirtyPercentMax: config.destage.dirtyPercentMax,
});
const threadPool = new ThreadPool({
  transfer,
  threadsMax: config.threadPool.threadsMax,
  onDone: () => {
    counters[C.poolTasks]! += 1;
  },
});

let drains: readonly (() => boolean)[] = [];
function addDrain(drainOne: () => boolean): () => void {
  drains = [...drains, drainOne];
  return () => {
    drains = drains.filter((other) => other !== drainOne);
  };
}
function drain(): boolean {
  let found = false;
  for (const drainOne of drains) if (drainOne()) found = true;
  return found;
}
const doorbell = new EventLoopDoorbell(global, thread);
doorbell.consume(drain);
turnEnd.setInbox(() => doorbell.take());

let services: DirectorServices | undefined;
const requests = new DirectorRequests(() => {
  if (services === undefined) throw new Error("the director is still opening its pools");
  return services;
});
control.on("message", async (request: DirectorRequest) => {
  tellControl({ kind: "reply", reply: await requests.answer(request) });
});

let stopping: Promise<void> | undefined;
function stop(end: keyof typeof ENDS): Promise<void> {
  stopping ??= (async () => {
    await threadPool.close();
    // Not open yet: nothing was acknowledged in this life, and what is in the journal is there for the next.
    if (services === undefined) return;
    await services.portal.close(ENDS[end]);
    await services.pools.stop().catch(endsAsItIs);
  })();
  return stopping;
}
const runtime = poolRuntime(turnEnd, events.send);
const moves = new PoolMoves({
  open: { global, config, directorIndex, frames, runtime, bulk: threadPoolBulkWork(threadPool), addDrain },
  runtime,
  directorIndex,
  served: () => services!,
  tellMain,
  tellControl: (opened) => tellControl({ kind: "poolOpened", opened }),
});
main.on("message", (message: ToDirector) => {
  endIfFenced();
  switch (message.type) {
    case "stop":
      void stop(message.restart ? "restart" : "stop").then(() => tellMain({ type: "stopped" }));
      return;
    case "ownership":
      if (services !== undefined) requests.setOwnership(message.ownership);
      return;
    case "openPool":
      return moves.open(message.pool);
    case "preparePool":
      void moves.prepare(message.pool);
      return;
    case "closePool":
      return moves.close(message.pool);
    case "partnerLost":
      void services!.channel.partnerLost(message.director).then(() => tellMain({ type: "released", director: message.director }));
      return;
    case "partnerReturned":
      return services!.channel.partnerBack(message.partner);
    case "fault":
      return suffer(message.fault, director.name, (seconds) => relays.cutOff(seconds));
  }
});

const opened = await moves.openFirst(firstPools);
const pools = new PoolService(
  opened.map(({ pool }) => pool),
  frames,
);
const deviceServer = new DeviceServer({
  blocks: pools,
  frames,
  global,
  identity: {
    targetName: config.targetName,
    ports: config.directors.map(({ index, portal }) => ({ directorIndex: index, groupTag: portal.groupTag })),
    directorIndex,
  },
});
const channel = new Channel({
  global,
  directorIndex,
  frames,
  server: deviceServer,
  turnEnd,
  executed: deviceServer.executed,
  onPartnerBack: (partner) => target.announceNexuses(partner),
  partners,
});
const drainChannel = (): boolean => channel.drain();
const relays = new DriveRelays({
  global,
  config,
  directorIndex,
  owns: (pool) => pools.pools.some(({ parts }) => parts.index === pool),
  counters: channelCounters,
  tell: (event) => events.send({ time: new Date().toISOString(), subject: `director ${director.name}`, ...event }),
});
drains = [drainChannel, () => relays.pump(), ...drains];
const answerNap = new AnswerNap({
  pdus: () => frontEndCounters[FRONT_END_COUNTERS.slots.pdusIn]!,
  sent: () => channelCounters[CHANNEL_COUNTERS.slots.requestsSent]!,
  unanswered: () => channel.unanswered,
  nap: (milliseconds) => doorbell.nap(milliseconds),
});
turnEnd.onEnd = () => {
  haltPoll.turnEnded();
  answerNap.turnEnded();
};
const target = new Target({
  directorIndex,
  directorCount: config.directors.length,
  frames,
  global,
  local: deviceServer,
  remote: (index) => channel.clientTo(index),
});
const portal = new Portal({
  config,
  director,
  global,
  frames: frames.share(UNASKED_SHARE),
  solicitedFrames: frames.share(SOLICITED_SHARE),
  units: target,
  turnEnd,
  access: () => requests.access,
  onEvent: events.send,
  writeBytesMax: TRANSFER_BYTES_MAX,
});
services = {
  name: director.name,
  index: directorIndex,
  pools,
  failedPools: () => moves.failed,
  target,
  deviceServer,
  channel,
  portal,
  portalAddress: `${director.portal.host}:${director.portal.port}`,
  stop: () => stop("stop"),
};

setInterval(() => target.tick(), HEARTBEAT_MILLISECONDS);
setInterval(() => {
  frames.tick();
  channel.publishSignals();
  counters[C.poolTasksWaiting] = threadPool.waiting;
  counters[C.busySeconds] = performance.eventLoopUtilization().active / 1000;
}, HOUSEKEEPING_MILLISECONDS);

const array = await pools.arrayDocument();
tellControl({
  kind: "opened",
  opened: {
    director: directorIndex,
    pools: [...pools.status(), ...moves.failed],
    volumes: pools.foundVolumes(),
    array,
    arrayDocumentIsNew: array === undefined,
  },
});
tellMain({ type: "ready", failed: moves.failed.map(({ index }) => index) });
moves.announce();

const share = shareOf(global, directorIndex);
counters[C.memoryToTouchBytes] = share.bytes;
await touchMemory(threadPool, share, (bytes) => {
  counters[C.memoryTouchedBytes] = bytes;
}).catch((error: unknown) => {
  // The pool was closed because the array stops.
  if (stopping === undefined) throw error;
});
