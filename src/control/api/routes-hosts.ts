/** Routes of hosts: the allow-list and CHAP. Secrets go in and never come out. */
import type { FastifyInstance } from "fastify";
import type { Static } from "typebox";
import type { ControlPlane } from "../control-plane.ts";
import { addHost, deleteHost, setAllowListOnly, setChap } from "../host-changes.ts";
import { hostView } from "../views.ts";
import { answers, WITH_TOKEN } from "./route-schema.ts";
import { AddHost, Done, Host, HostAccess, HostList, HostParams, PatchHost } from "./schemas.ts";

const tags = ["hosts"];

export function addHostRoutes(app: FastifyInstance, plane: ControlPlane): void {
  app.get(
    "/api/v1/hosts",
    {
      config: { access: "read" },
      schema: { summary: "Hosts and whether only they may log in", tags, response: answers(200, HostList) },
    },
    async () => {
      const { hosts, allowListOnly } = plane.serving().array.document;
      return { allowListOnly, hosts: hosts.map(hostView) };
    },
  );
  app.post<{ Body: Static<typeof AddHost> }>(
    "/api/v1/hosts",
    {
      schema: {
        summary: "Add a host, with its CHAP secret if it needs one",
        tags,
        security: WITH_TOKEN,
        body: AddHost,
        response: answers(201, Host),
      },
    },
    async (request, reply) => {
      await plane.change(request, (serving, audit) => addHost(serving, audit, request.body));
      return reply.code(201).send(hostView(request.body));
    },
  );
  app.patch<{ Params: Static<typeof HostParams>; Body: Static<typeof PatchHost> }>(
    "/api/v1/hosts/:host",
    {
      schema: {
        summary: "Set or take away a host's CHAP secret",
        tags,
        security: WITH_TOKEN,
        params: HostParams,
        body: PatchHost,
        response: answers(200, Done),
      },
    },
    async (request) => {
      const { params, body } = request;
      await plane.change(request, (serving, audit) => setChap(serving, audit, params.host, body.chap));
      return { done: true };
    },
  );
  app.delete<{ Params: Static<typeof HostParams> }>(
    "/api/v1/hosts/:host",
    { schema: { summary: "Delete a host", tags, security: WITH_TOKEN, params: HostParams, response: answers(200, Done) } },
    async (request) => {
      await plane.change(request, ({ array }, audit) => deleteHost(array, audit, request.params.host));
      return { done: true };
    },
  );
  app.put<{ Body: Static<typeof HostAccess> }>(
    "/api/v1/host-access",
    {
      schema: {
        summary: "Switch the allow-list on or off; on opens portals beyond loopback",
        tags,
        security: WITH_TOKEN,
        body: HostAccess,
        response: answers(200, HostAccess),
      },
    },
    async (request) => {
      const { body } = request;
      await plane.change(request, (serving, audit) => setAllowListOnly(serving, audit, body.allowListOnly));
      return body;
    },
  );
}
