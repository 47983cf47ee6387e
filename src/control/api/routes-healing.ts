/** Routes of healing: scrub, rebuild, their shares, drives replaced. */
import type { FastifyInstance } from "fastify";
import type { Static } from "typebox";
import { driveNames } from "../../config/config.ts";
import { ApiError } from "../api-error.ts";
import type { ControlPlane } from "../control-plane.ts";
import { answers, WITH_TOKEN } from "./route-schema.ts";
import { requirePool } from "./routes-storage.ts";
import { Done, DriveParams, PoolParams, ScrubBody, SetShares } from "./schemas.ts";

/** A cancelled scrub ends with the zone that it is moving. */
const SCRUB_SECONDS = 60;
const LOOK_SECONDS = 30;

type Pool = { Params: Static<typeof PoolParams> };

export function addHealingRoutes(app: FastifyInstance, plane: ControlPlane): void {
  app.post<Pool & { Body: Static<typeof ScrubBody> }>(
    "/api/v1/pools/:pool/scrub",
    {
      schema: {
        summary: "Begin, pause, go on with, or cancel a scrub: everything on the drives is read, checked and mended",
        tags: ["pools"],
        security: WITH_TOKEN,
        params: PoolParams,
        body: ScrubBody,
        response: answers(200, Done),
      },
    },
    async (request) => {
      const { array } = plane.serving();
      const { pool: name } = request.params;
      const pool = requirePool(plane, name);
      const { action } = request.body;
      await plane.audited(request, (audit) => {
        audit.record("info", "pool.scrubCommanded", `pool ${name}`, `${action} was commanded of the scrub of pool ${name}`);
        return array.ownerLink(pool).request({ kind: "scrubPool", pool, action }, SCRUB_SECONDS);
      });
      return { done: true };
    },
  );
  app.patch<Pool & { Body: Static<typeof SetShares> }>(
    "/api/v1/pools/:pool/healing",
    {
      schema: {
        summary:
          "Set how fast rebuilds and scrubs are while hosts are active, of what they are while hosts are quiet, until the next start",
        tags: ["pools"],
        security: WITH_TOKEN,
        params: PoolParams,
        body: SetShares,
        response: answers(200, Done),
      },
    },
    async (request) => {
      const { array } = plane.serving();
      const { pool: name } = request.params;
      const pool = requirePool(plane, name);
      const shares = request.body;
      await plane.audited(request, (audit) => {
        audit.record("info", "pool.sharesSet", `pool ${name}`, `shares of healing in pool ${name}: ${JSON.stringify(shares)}`);
        return array.ownerLink(pool).request({ kind: "setShares", pool, ...shares });
      });
      return { done: true };
    },
  );
  app.post<Pool>(
    "/api/v1/pools/:pool/rebuild",
    {
      schema: {
        summary: "Rebuild at once what can be: drives that are missing are not waited for, and all places are looked at anew",
        tags: ["pools"],
        security: WITH_TOKEN,
        params: PoolParams,
        response: answers(200, Done),
      },
    },
    async (request) => {
      const { array } = plane.serving();
      const { pool: name } = request.params;
      const pool = requirePool(plane, name);
      await plane.audited(request, (audit) => {
        audit.record("info", "pool.rebuildCommanded", `pool ${name}`, `a rebuild of what pool ${name} lacks was commanded`);
        return array.ownerLink(pool).request({ kind: "rebuildPool", pool }, LOOK_SECONDS);
      });
      return { done: true };
    },
  );
  app.post<{ Params: Static<typeof DriveParams> }>(
    "/api/v1/drives/:drive/replace",
    {
      schema: {
        summary: "Make a new, empty drive in the place of one that failed or is missing; its place is given back to it",
        description: "Refused where the drive is in use, or may have what the others lack. What is on it is erased.",
        tags: ["pools"],
        security: WITH_TOKEN,
        params: DriveParams,
        response: answers(200, Done),
      },
    },
    async (request) => {
      const { array } = plane.serving();
      const { drive } = request.params;
      const pool = plane.config.pools.findIndex((candidate) => driveNames(candidate).includes(drive));
      if (pool < 0) throw new ApiError(404, "noSuchDrive", `there is no drive "${drive}"`);
      await plane.audited(request, async (audit) => {
        const answer = await array.ownerLink(pool).request({ kind: "mayReplaceDrive", pool, drive });
        const what = `drive ${drive} was replaced by a new, empty one`;
        await plane.drives.ask({ kind: "replace", drive, erasable: answer as readonly string[] });
        audit.record("warning", "drive.replaced", `drive ${drive}`, what);
        await array.ownerLink(pool).request({ kind: "drivePlaced", pool, drive }, LOOK_SECONDS);
      });
      return { done: true };
    },
  );
}
