/** Routes of the whole array: health, system, directors, ports, sessions. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { ControlPlane } from "../control-plane.ts";
import { provisionedBytes } from "../overcommit.ts";
import { VERSION } from "../version.ts";
import { portalView } from "../views.ts";
import { answers } from "./route-schema.ts";
import { Director, Health, listOf, Portal, Session, System } from "./schemas.ts";

export function addSystemRoutes(app: FastifyInstance, plane: ControlPlane): void {
  app.get(
    "/healthz",
    {
      config: { access: "public" },
      schema: {
        summary: "Live and ready: 200 when hosts can log in and every pool serves, else 503",
        tags: ["health"],
        response: { 200: Health, 503: Health },
      },
    },
    async (_request, reply) => {
      const health = plane.health(plane.isServing ? await plane.status.read() : { directors: [], failures: [] });
      return reply.code(health.ready ? 200 : 503).send(health);
    },
  );
  app.get(
    "/healthz/live",
    {
      config: { access: "public" },
      schema: {
        summary: "The control plane answers",
        tags: ["health"],
        response: { 200: Type.Object({ live: Type.Boolean() }) },
      },
    },
    async () => ({ live: true }),
  );
  app.get(
    "/api/v1/system",
    { config: { access: "read" }, schema: { summary: "The array", tags: ["system"], response: answers(200, System) } },
    async () => {
      const { array } = plane.serving();
      const answer = await plane.status.read();
      return {
        arrayId: array.document.arrayId,
        targetName: array.document.targetName,
        version: VERSION,
        ready: plane.health(answer).ready,
        uptimeSeconds: (performance.now() - plane.startedAt) / 1000,
        frameBytes: plane.config.memory.frameBytes,
        directors: plane.config.directors.map(({ name }) => name),
        pools: plane.config.pools.map(({ name }) => name),
        capacity: plane.config.pools.map(({ name, index }) => {
          const pool = answer.directors.flatMap((status) => status?.pools ?? []).find((one) => one.index === index);
          const { usableBytes = 0, liveBytes = 0 } = pool ?? {};
          return { pool: name, usableBytes, liveBytes, provisionedBytes: provisionedBytes(array, index) };
        }),
        volumeCount: array.volumes.size,
        sessionCount: answer.directors.reduce((sum, status) => sum + (status?.sessions.length ?? 0), 0),
        allowListOnly: array.document.allowListOnly,
      };
    },
  );
  app.get(
    "/api/v1/directors",
    {
      config: { access: "read" },
      schema: { summary: "Directors", tags: ["system"], response: answers(200, listOf("directors", Director)) },
    },
    async () => {
      plane.serving();
      const { directors, failures } = await plane.status.readFresh();
      return {
        directors: plane.config.directors.map(({ name, engine }, index) => ({
          name,
          engine: engine + 1,
          state: plane.ownership.directors[index]!,
          answering: failures[index] === undefined,
          ...(failures[index] === undefined ? {} : { reason: failures[index].message }),
          pools: directors[index]?.pools.map((pool) => pool.name) ?? [],
          sessionCount: directors[index]?.sessions.length ?? 0,
        })),
      };
    },
  );
  app.get(
    "/api/v1/ports",
    {
      config: { access: "read" },
      schema: { summary: "iSCSI portals", tags: ["system"], response: answers(200, listOf("ports", Portal)) },
    },
    async () => {
      const { portals } = plane.serving();
      const { directors } = await plane.status.readFresh();
      return { ports: plane.config.directors.map((_, index) => portalView(plane.config, portals, index, directors[index])) };
    },
  );
  app.get(
    "/api/v1/sessions",
    {
      config: { access: "read" },
      schema: { summary: "iSCSI sessions", tags: ["system"], response: answers(200, listOf("sessions", Session)) },
    },
    async () => {
      plane.serving();
      return { sessions: (await plane.statusOrThrow()).flatMap((status) => status.sessions) };
    },
  );
}
