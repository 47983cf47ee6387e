/** A control plane over fake directors, started, with its HTTP server not listening (requests are injected). */
import { Writable } from "node:stream";
import type { FastifyInstance } from "fastify";
import { type Logger, pino } from "pino";
import { COUNTER_BLOCKS } from "../../drivers/shared-memory/counters.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { addRoutes } from "../../src/control/api/routes.ts";
import { createServer } from "../../src/control/api/server.ts";
import type { ControlToMain } from "../../src/control/contract.ts";
import { ControlPlane } from "../../src/control/control-plane.ts";
import { DirectorLink } from "../../src/control/director-link.ts";
import { DriveLink } from "../../src/control/drive-link.ts";
import { EventLog } from "../../src/control/event-log.ts";
import { createMetrics, type Metrics } from "../../src/control/metrics/registry.ts";
import { COUNTER_TABLES } from "../../src/control/metrics/tables.ts";
import { Portals } from "../../src/control/portals.ts";
import { startArray } from "../../src/control/start-up.ts";
import { type Durable, FakeDirector, nothingStored } from "./fake-director.ts";

const ADMIN_TOKEN = "admin-token-of-the-test-0123456789";
export const READ_TOKEN = "reader-token-of-the-test-012345678";
export const ADMIN = { authorization: `Bearer ${ADMIN_TOKEN}` };

/** The counters and the thread table of a global memory, without the rest: one block of doubles after another. */
export function countersOnly(config: Config): GlobalMemory {
  const subsystems = Object.keys(COUNTER_BLOCKS);
  const blocksMax = Math.max(config.directors.length, config.pools.flatMap(({ drives }) => drives).length);
  const counters = Object.fromEntries(subsystems.map((name, index) => [name, index * blocksMax * 256 * 8]));
  const shape = { directorCount: config.directors.length, poolCount: config.pools.length };
  const threadCount = shape.directorCount + 2 * shape.poolCount;
  const layout = { counters, shape, threads: 0, threadCount };
  const f64 = new Float64Array(subsystems.length * blocksMax * 256);
  // Lines of threads that never started.
  return { f64, i32: new Int32Array(threadCount * 32), layout } as unknown as GlobalMemory;
}

export interface ControlArray {
  readonly config: Config;
  readonly app: FastifyInstance;
  readonly plane: ControlPlane;
  readonly events: EventLog;
  readonly directors: readonly FakeDirector[];
  readonly metrics: Metrics;
  readonly global: GlobalMemory;
  readonly logLines: string[];
  close(): Promise<void>;
}

export interface Wishes {
  readonly env?: NodeJS.ProcessEnv;
  readonly durable?: readonly Durable[];
  readonly prepare?: (directors: readonly FakeDirector[]) => void;
  /** False: the directors say nothing, and the array does not start. */
  readonly start?: boolean;
  readonly requestMilliseconds?: number;
  /** In the place of main. */
  readonly toMain?: (message: ControlToMain, drives: DriveLink) => void;
}

export async function controlArray(wishes: Wishes = {}): Promise<ControlArray> {
  const config = loadConfig({ VARRAY_API_REQUESTS_PER_SECOND_MAX: "10000", ...wishes.env });
  const directors = config.directors.map(
    (_, index) => new FakeDirector(config, index, wishes.durable?.[index] ?? nothingStored()),
  );
  wishes.prepare?.(directors);
  const events = new EventLog();
  const links = config.directors.map(
    (director, index) => new DirectorLink(director, directors[index]!.port, (event) => events.add(event)),
  );
  const drives = new DriveLink((message) => wishes.toMain?.(message, drives));
  const plane = new ControlPlane(config, links, drives, events);
  const { log, logLines } = memoryLog();
  const timing = wishes.requestMilliseconds === undefined ? {} : { requestMilliseconds: wishes.requestMilliseconds };
  const app = await createServer({ api: config.api, adminToken: ADMIN_TOKEN, log, ...timing });
  const global = countersOnly(config);
  const metrics = createMetrics(plane, global, COUNTER_TABLES);
  addRoutes(app, plane, metrics);
  const close = async () => {
    for (const link of links) link.close();
    await app.close();
  };
  try {
    if (wishes.start !== false) {
      for (const director of directors) director.open();
      const { state } = await startArray(config, links, events);
      const portals = new Portals(state);
      await portals.open();
      plane.serve({ array: state, portals });
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { config, app, plane, events, directors, metrics, global, logLines, close };
}

function memoryLog(): { log: Logger; logLines: string[] } {
  const logLines: string[] = [];
  const stream = new Writable({
    write: (chunk, _encoding, done) => {
      logLines.push(String(chunk));
      done();
    },
  });
  return { log: pino({ level: "debug" }, stream), logLines };
}
