/** Routes that command directors: pools that move, a restart, faults for those who want to see what becomes of the array. */
import type { FastifyInstance } from "fastify";
import type { Static } from "typebox";
import { ApiError } from "../api-error.ts";
import type { DirectorFault } from "../contract.ts";
import type { ControlPlane } from "../control-plane.ts";
import { answers, WITH_TOKEN } from "./route-schema.ts";
import { requirePool } from "./routes-storage.ts";
import { DirectorFaultBody, DirectorParams, Done, MovePool, PoolParams } from "./schemas.ts";

/** A move destages first, for ten seconds at most, and then ends what is under way. */
const MOVE_SECONDS = 60;
/** Its pools move away, it stops, and starts. */
const RESTART_SECONDS = 120;
const FAULT_SECONDS = 5;

export function addDirectorRoutes(app: FastifyInstance, plane: ControlPlane): void {
  app.post<{ Params: Static<typeof PoolParams>; Body: Static<typeof MovePool> }>(
    "/api/v1/pools/:pool/move",
    {
      schema: {
        summary: "Move a pool to another director, without an error to any host; answers when it is served there",
        description:
          "It stays there, also after that director was down for a while, until it is moved again or the array restarts.",
        tags: ["pools"],
        security: WITH_TOKEN,
        params: PoolParams,
        body: MovePool,
        response: answers(200, Done),
      },
    },
    async (request) => {
      plane.serving();
      const name = request.params.pool;
      const pool = requirePool(plane, name);
      const to = requireDirector(plane, request.body.to);
      await plane.audited(request, (audit) => {
        const what = `a move of pool ${name} to director ${request.body.to} was commanded`;
        audit.record("info", "pool.moveCommanded", `pool ${name}`, what);
        return plane.main.command({ kind: "movePool", pool, to }, MOVE_SECONDS);
      });
      return { done: true };
    },
  );
  app.post<{ Params: Static<typeof DirectorParams> }>(
    "/api/v1/directors/:director/restart",
    {
      schema: {
        summary: "Restart a director: its pools are served by its partner meanwhile; answers when it is back",
        tags: ["system"],
        security: WITH_TOKEN,
        params: DirectorParams,
        response: answers(200, Done),
      },
    },
    async (request) => {
      plane.serving();
      const name = request.params.director;
      const director = requireDirector(plane, name);
      await plane.audited(request, (audit) => {
        const what = `a restart of director ${name} was commanded`;
        audit.record("warning", "director.restartCommanded", `director ${name}`, what);
        return plane.main.command({ kind: "restartDirector", director }, RESTART_SECONDS);
      });
      return { done: true };
    },
  );
  app.post<{ Params: Static<typeof DirectorParams>; Body: Static<typeof DirectorFaultBody> }>(
    "/api/v1/faults/directors/:director",
    {
      schema: {
        summary: "Let a director fail, to see what becomes of the array",
        description:
          "kill: main ends its thread. throw: an error that nobody catches. exit: it ends itself. hang: an endless loop for `seconds`. cutOff: it does not reach its drive threads for `seconds`, and works through its partner.",
        tags: ["faults"],
        security: WITH_TOKEN,
        params: DirectorParams,
        body: DirectorFaultBody,
        response: answers(200, Done),
      },
    },
    async (request) => {
      plane.serving();
      const name = request.params.director;
      const director = requireDirector(plane, name);
      const fault = faultOf(request.body);
      await plane.audited(request, (audit) => {
        audit.record("critical", "fault.director", `director ${name}`, `director ${name} was told to fail: ${fault.kind}`);
        return plane.main.command({ kind: "directorFault", director, fault }, FAULT_SECONDS);
      });
      return { done: true };
    },
  );
}

function requireDirector(plane: ControlPlane, name: string): number {
  const director = plane.config.directors.findIndex((candidate) => candidate.name === name);
  if (director >= 0) return director;
  const names = plane.config.directors.map((candidate) => candidate.name).join(", ");
  throw new ApiError(404, "noSuchDirector", `there is no director "${name}"; there are ${names}`);
}

function faultOf({ kind, seconds }: Static<typeof DirectorFaultBody>): DirectorFault {
  if (kind === "hang" || kind === "cutOff") {
    if (seconds === undefined) throw new ApiError(400, "invalidBody", `"${kind}" needs seconds`, "seconds");
    return { kind, seconds };
  }
  if (seconds !== undefined) throw new ApiError(400, "invalidBody", "only hang and cutOff have seconds", "seconds");
  return { kind };
}
