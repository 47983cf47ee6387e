/** Routes of what is done to drives themselves: pulled, inserted, given faults on command. */
import type { FastifyInstance } from "fastify";
import type { Static } from "typebox";
import { Audit } from "../audit.ts";
import type { FaultyDrive } from "../contract.ts";
import type { ControlPlane } from "../control-plane.ts";
import { faultSettings } from "../fault-rules.ts";
import { answers, WITH_TOKEN } from "./route-schema.ts";
import { requirePool } from "./routes-storage.ts";
import { Done, DriveFaultsView, DriveParams, listOf, PoolParams, SetDriveFaults } from "./schemas.ts";

const tags = ["faults"];
type Params = { Params: Static<typeof DriveParams> };

export function addDriveRoutes(app: FastifyInstance, plane: ControlPlane): void {
  app.post<Params>(
    "/api/v1/drives/:drive/pull",
    {
      schema: {
        summary: "Pull a drive, as if out of its slot: it can't be reached until it is inserted",
        tags: ["pools"],
        security: WITH_TOKEN,
        params: DriveParams,
        response: answers(200, Done),
      },
    },
    async (request) => {
      plane.serving();
      const { drive } = request.params;
      await plane.drives.ask({ kind: "pull", drive });
      new Audit(plane.events, request.ip).record("warning", "drive.pulled", `drive ${drive}`, `drive ${drive} was pulled`);
      return { done: true };
    },
  );
  app.post<Params>(
    "/api/v1/drives/:drive/insert",
    {
      schema: {
        summary: "Insert a drive that was pulled, or that can't be reached, into its slot again",
        tags: ["pools"],
        security: WITH_TOKEN,
        params: DriveParams,
        response: answers(200, Done),
      },
    },
    async (request) => {
      plane.serving();
      const { drive } = request.params;
      await plane.drives.ask({ kind: "insert", drive });
      new Audit(plane.events, request.ip).record("info", "drive.inserted", `drive ${drive}`, `drive ${drive} was inserted`);
      return { done: true };
    },
  );
}

function addThreadRoute(app: FastifyInstance, plane: ControlPlane): void {
  app.post<{ Params: Static<typeof PoolParams> }>(
    "/api/v1/faults/drive-threads/:pool",
    {
      schema: {
        summary: "Let the thread of a pool's drives throw: its drives can't be reached until main has started it again",
        tags,
        security: WITH_TOKEN,
        params: PoolParams,
        response: answers(200, Done),
      },
    },
    async (request) => {
      plane.serving();
      const name = request.params.pool;
      const pool = requirePool(plane, name);
      await plane.drives.ask({ kind: "throw", pool });
      const audit = new Audit(plane.events, request.ip);
      audit.record("warning", "drives.faultCommanded", `pool ${name}`, `the thread of pool ${name}'s drives was told to throw`);
      return { done: true };
    },
  );
}

export function addFaultRoutes(app: FastifyInstance, plane: ControlPlane): void {
  addThreadRoute(app, plane);
  const all = async () => {
    const faulty = (await plane.drives.ask({ kind: "faults" })) as readonly FaultyDrive[];
    return faulty.map(({ drive, pool, rules }) => ({
      drive,
      pool: plane.config.pools[pool]?.name ?? "",
      rules: rules.map(({ rule, matched, hits }) => ({ ...rule, matched, hits })),
    }));
  };
  const clear = async (request: { readonly ip: string }, drive: string) => {
    await plane.drives.ask({ kind: "setFaults", drive, faults: undefined });
    const audit = new Audit(plane.events, request.ip);
    audit.record("info", "drive.faultsCleared", `drive ${drive}`, `faults on command of drive ${drive} were taken away`);
  };
  app.get(
    "/api/v1/faults/drives",
    {
      config: { access: "read" },
      schema: {
        summary: "Drives that have faults on command, and how often these have hit",
        tags,
        response: answers(200, listOf("drives", DriveFaultsView)),
      },
    },
    async () => {
      plane.serving();
      return { drives: await all() };
    },
  );
  app.put<Params & { Body: Static<typeof SetDriveFaults> }>(
    "/api/v1/faults/drives/:drive",
    {
      schema: {
        summary: "Give a drive faults, in the place of those that it has; they end with the process",
        tags,
        security: WITH_TOKEN,
        params: DriveParams,
        body: SetDriveFaults,
        response: answers(200, Done),
      },
    },
    async (request) => {
      plane.serving();
      const { drive } = request.params;
      const faults = faultSettings(request.body);
      await plane.drives.ask({ kind: "setFaults", drive, faults });
      const names = faults.rules.map(({ fault }) => fault).join(", ");
      const audit = new Audit(plane.events, request.ip);
      audit.record("warning", "drive.faultsSet", `drive ${drive}`, `drive ${drive} has faults on command now: ${names}`);
      return { done: true };
    },
  );
  app.delete<Params>(
    "/api/v1/faults/drives/:drive",
    {
      schema: {
        summary: "Take a drive's faults away",
        tags,
        security: WITH_TOKEN,
        params: DriveParams,
        response: answers(200, Done),
      },
    },
    async (request) => {
      plane.serving();
      await clear(request, request.params.drive);
      return { done: true };
    },
  );
  app.delete(
    "/api/v1/faults/drives",
    { schema: { summary: "Take all drives' faults away", tags, security: WITH_TOKEN, response: answers(200, Done) } },
    async (request) => {
      plane.serving();
      for (const { drive } of await all()) await clear(request, drive);
      return { done: true };
    },
  );
}
