/** All routes of the API on one server, with the OpenAPI document that comes out of their schemas. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { ControlPlane } from "../control-plane.ts";
import type { Metrics } from "../metrics/registry.ts";
import { addDirectorRoutes } from "./routes-directors.ts";
import { addDriveRoutes, addFaultRoutes } from "./routes-drives.ts";
import { addEventRoutes } from "./routes-events.ts";
import { addHealingRoutes } from "./routes-healing.ts";
import { addHostRoutes } from "./routes-hosts.ts";
import { addLunRoutes, addPoolRoutes, addVolumeRoutes } from "./routes-storage.ts";
import { addSystemRoutes } from "./routes-system.ts";

export function addRoutes(app: FastifyInstance, plane: ControlPlane, metrics: Metrics): void {
  app.addHook("onResponse", async (request, reply) => {
    metrics.countRequest(request.method, request.routeOptions.url ?? "none", reply.statusCode);
  });
  addSystemRoutes(app, plane);
  addDirectorRoutes(app, plane);
  addPoolRoutes(app, plane);
  addDriveRoutes(app, plane);
  addHealingRoutes(app, plane);
  addFaultRoutes(app, plane);
  addVolumeRoutes(app, plane);
  addLunRoutes(app, plane);
  addHostRoutes(app, plane);
  addEventRoutes(app, plane);
  app.get(
    "/metrics",
    {
      config: { access: "public" },
      schema: { summary: "Prometheus metrics", tags: ["health"], produces: ["text/plain"], response: { 200: Type.String() } },
    },
    async (_request, reply) =>
      reply
        .type(metrics.contentType)
        .serializer(String)
        .send(await metrics.scrape()),
  );
  app.get("/openapi.json", { config: { access: "public" }, schema: { hide: true } }, async () => app.swagger());
  app.get("/openapi.yaml", { config: { access: "public" }, schema: { hide: true } }, async (_request, reply) =>
    reply.type("application/yaml").send(app.swagger({ yaml: true })),
  );
}
