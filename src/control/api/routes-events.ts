/**
 * Events as a list and as a stream (server-sent events).
 *
 * A stream starts after Last-Event-ID (or `after`) with what is still kept, then follows. Bounded: STREAMS_MAX readers,
 * and one that does not read is dropped once BUFFER_BYTES_MAX wait for it.
 */
import type { FastifyInstance } from "fastify";
import type { Static } from "typebox";
import { ApiError } from "../api-error.ts";
import type { ControlPlane } from "../control-plane.ts";
import type { NumberedEvent } from "../event-log.ts";
import { answers } from "./route-schema.ts";
import { Event, EventsQuery, listOf } from "./schemas.ts";

const STREAMS_MAX = 16;
const BUFFER_BYTES_MAX = 256 * 1024;
const KEEPALIVE_MILLISECONDS = 15_000;

export function addEventRoutes(app: FastifyInstance, plane: ControlPlane): void {
  let streams = 0;
  app.get<{ Querystring: Static<typeof EventsQuery> }>(
    "/api/v1/events",
    {
      config: { access: "read" },
      schema: {
        summary: "Latest events, newest last",
        tags: ["events"],
        querystring: EventsQuery,
        response: answers(200, listOf("events", Event)),
      },
    },
    async ({ query }) => ({ events: plane.events.list(query) }),
  );
  app.get<{ Querystring: Static<typeof EventsQuery> }>(
    "/api/v1/events/stream",
    {
      config: { access: "read" },
      schema: {
        summary: "Events as they come (text/event-stream)",
        tags: ["events"],
        querystring: EventsQuery,
        produces: ["text/event-stream"],
      },
    },
    async (request, reply) => {
      if (streams >= STREAMS_MAX) throw new ApiError(503, "tooManyStreams", `${STREAMS_MAX} event streams are open; close one`);
      streams++;
      reply.hijack();
      const { raw } = reply;
      raw.writeHead(200, {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
      });
      const send = (text: string) => {
        if (raw.writableLength > BUFFER_BYTES_MAX) raw.destroy();
        else raw.write(text);
      };
      const after = request.query.after ?? lastEventId(request.headers["last-event-id"]);
      raw.write(": events of the array\n\n");
      for (const event of plane.events.list({ ...request.query, after })) send(frame(event));
      const severity = request.query.severity ?? "info";
      const unsubscribe = plane.events.subscribe((event) => {
        if (severity === "info" || event.severity === "critical" || event.severity === severity) send(frame(event));
      });
      const keepalive = setInterval(() => send(": still here\n\n"), KEEPALIVE_MILLISECONDS);
      raw.once("close", () => {
        streams--;
        clearInterval(keepalive);
        unsubscribe();
      });
    },
  );
}

function lastEventId(header: string | string[] | undefined): number {
  return typeof header === "string" && /^\d{1,15}$/.test(header) ? Number(header) : 0;
}

/** JSON has no line breaks, so one data line carries an event. */
function frame(event: NumberedEvent): string {
  return `id: ${event.sequence}\nevent: array\ndata: ${JSON.stringify(event)}\n\n`;
}
