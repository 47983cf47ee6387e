/**
 * The control plane's thread: wiring only.
 *
 *   attach to global memory → links to the directors → HTTP listens (healthz says "starting") → start-up → portals → "ready"
 *
 * Runs on: its own thread. Owns: the HTTP server, the message ports to the directors, the stored array document's changes.
 * No data-path step waits for anything here (architecture.md, invariant 7).
 */
import { parentPort, workerData } from "node:worker_threads";
import { destination, pino } from "pino";
import { attachGlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { adminToken } from "./api/api-token.ts";
import { addRoutes } from "./api/routes.ts";
import { createServer } from "./api/server.ts";
import type { ControlToMain, ControlWorkerData, MainToControl } from "./contract.ts";
import { ControlPlane } from "./control-plane.ts";
import { DirectorLink } from "./director-link.ts";
import { DriveLink } from "./drive-link.ts";
import { EventLog } from "./event-log.ts";
import { createMetrics } from "./metrics/registry.ts";
import { COUNTER_TABLES } from "./metrics/tables.ts";
import { Portals } from "./portals.ts";
import { eventNow, startArray } from "./start-up.ts";
import { summaryOf } from "./summary.ts";

const CLOSE_MILLISECONDS = 900;

const { memory, config, directors, ownership } = workerData as ControlWorkerData;
// Standard output is for the banner; the log goes where main's goes.
const log = pino({ level: config.log.level, base: { thread: "control" } }, destination({ fd: 2, sync: true }));
const events = new EventLog();
events.subscribe(({ severity, type, subject, message, time }) => {
  const level = severity === "critical" ? "error" : severity === "warning" ? "warn" : "info";
  log[level]({ type, subject, at: time }, message);
});
const links = config.directors.map(
  (director, index) => new DirectorLink(director, directors[index]!, (event) => events.add(event)),
);
const tell = (message: ControlToMain) => parentPort?.postMessage(message);
const drives = new DriveLink(tell);
const plane = new ControlPlane(config, links, drives, events, (id, command) => tell({ kind: "command", id, command }));
plane.setOwnership(ownership);

let stopping = false;
let close: () => Promise<void> = async () => {};
parentPort?.on("message", (message: MainToControl) => {
  switch (message.kind) {
    case "event":
      return void events.add(message.event);
    case "driveAnswer":
      return drives.answered(message.id, message.answer);
    case "driveConditions":
      return drives.setConditions(message.conditions);
    case "ownership":
      return plane.setOwnership(message.ownership);
    case "directorPort":
      return plane.directorStarted(message.director, message.port);
    case "commandEnded":
      return plane.main.ended(message.id, message.refusal);
    case "stop":
      return void stop();
  }
});
run().catch((error: unknown) => {
  if (stopping) return; // directors that stop end a start-up under way
  log.debug({ err: error }, "start-up failed");
  tell({ kind: "fatal", message: (error as Error).message });
});

async function run(): Promise<void> {
  const token = adminToken(config.dataFolder, config.api.token);
  const app = await createServer({ api: config.api, adminToken: token.token, log });
  addRoutes(app, plane, createMetrics(plane, attachGlobalMemory(memory), COUNTER_TABLES));
  close = async () => {
    await app.close();
  };
  await app.listen({ host: config.api.host, port: config.api.port }).catch((error: Error) => {
    throw new Error(
      `the API can't listen on ${config.api.host}:${config.api.port} (VARRAY_API_HOST, VARRAY_API_PORT): ${error.message}`,
    );
  });
  const { state, firstStart } = await startArray(config, links, events);
  const portals = new Portals(state);
  await portals.open();
  plane.serve({ array: state, portals });
  events.add(
    eventNow("info", "array.started", "array", firstStart ? "the array serves for the first time" : "the array serves again"),
  );
  const { directors: statuses } = await plane.status.read();
  tell({ kind: "ready", summary: summaryOf(state, portals, statuses, firstStart, token.file) });
}

/** The links stay open until main ends the thread: directors may still report while they stop. */
async function stop(): Promise<void> {
  stopping = true;
  const late = new Promise<void>((resolve) => {
    setTimeout(resolve, CLOSE_MILLISECONDS).unref();
  });
  await Promise.race([close(), late]).catch((error: unknown) => log.warn({ err: error }, "HTTP did not close cleanly"));
  tell({ kind: "stopped" });
}
