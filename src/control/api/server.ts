/**
 * The HTTP server: Fastify with the array's checks, error bodies and validation; routes are added by routes-*.ts.
 *
 * Runs on: the control thread. Checks in order: Host and Origin (403), rate (429), token (401, 403), then body and schema.
 * Invariants:
 *  1. A route that does not say otherwise needs the admin's token.
 *  2. No answer carries a stack trace or a secret: unexpected errors answer 500 with a fixed text, the log has the rest.
 */
import swagger from "@fastify/swagger";
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { Logger } from "pino";
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import type { Config } from "../../config/config.ts";
import { ApiError } from "../api-error.ts";
import { TooManyChanges } from "../change-queue.ts";
import { DirectorError } from "../director-link.ts";
import { VERSION } from "../version.ts";
import { allowedNames, hostName } from "./allowed-names.ts";
import { roleCheck } from "./api-token.ts";
import { RateLimit } from "./rate-limit.ts";
import { PATTERN_WORDS } from "./schemas.ts";

const BODY_BYTES_MAX = 1024 * 1024;
const HEADER_BYTES_MAX = 16 * 1024;
const CONNECTIONS_MAX = 256;

/** Who may call a route: anyone; whoever may read; who may change. */
type Access = "public" | "read" | "change";

declare module "fastify" {
  interface FastifyContextConfig {
    access?: Access;
  }
}

export interface ServerOptions {
  readonly api: Config["api"];
  readonly adminToken: string;
  readonly log: Logger;
  /** A request that has not come whole by then gets 408. */
  readonly requestMilliseconds?: number;
}

export async function createServer(options: ServerOptions): Promise<FastifyInstance> {
  const { requestMilliseconds = 10_000 } = options;
  const app = fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    forceCloseConnections: true,
    requestTimeout: requestMilliseconds,
    keepAliveTimeout: 10_000,
    routerOptions: { maxParamLength: 256 },
    http: {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: requestMilliseconds,
      connectionsCheckingInterval: Math.min(1000, requestMilliseconds),
    },
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, _request, reply) => {
      void sendError(reply, describe(error, options.log));
    },
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  app.removeContentTypeParser("text/plain"); // JSON only; anything else is 415
  app.setValidatorCompiler<TSchema>(({ schema, httpPart }) => validatorOf(schema, httpPart !== "body"));
  app.addHook("onRequest", checkRequest(options));
  app.setErrorHandler<FastifyError>((error, _request, reply) => sendError(reply, describe(error, options.log)));
  app.setNotFoundHandler((request, reply) =>
    sendError(
      reply,
      new ApiError(
        404,
        "noSuchRoute",
        `${request.method} ${request.url.slice(0, 200)} is not part of the API: see /openapi.json`,
      ),
    ),
  );
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "varray", version: VERSION, description: "Control plane of the array. Nothing here is on the data path." },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
    },
  });
  return app;
}

function checkRequest({ api, adminToken, log }: ServerOptions): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  const isAllowed = allowedNames(api);
  const roleOf = roleCheck(adminToken, api.readToken);
  const rate = new RateLimit(api.requestsPerSecondMax);
  return async (request, reply) => {
    void reply.header("x-content-type-options", "nosniff").header("cache-control", "no-store");
    if (!isAllowed(request.headers.host)) {
      throw new ApiError(
        403,
        "hostNotAllowed",
        "the Host header names neither loopback nor one of api.allowedHosts (VARRAY_API_ALLOWED_HOSTS)",
      );
    }
    const { origin } = request.headers;
    if (origin !== undefined) {
      const name = hostName(origin);
      if (name === undefined || !isAllowed(name.includes(":") ? `[${name}]` : name)) {
        throw new ApiError(
          403,
          "originNotAllowed",
          "the Origin is neither loopback nor one of api.allowedHosts: no foreign page may call the API",
        );
      }
    }
    const waitSeconds = rate.take(request.ip, performance.now());
    if (waitSeconds > 0) {
      void reply.header("retry-after", waitSeconds);
      throw new ApiError(
        429,
        "tooManyRequests",
        `more than ${api.requestsPerSecondMax} requests a second from this address: wait ${waitSeconds} s`,
      );
    }
    if (request.is404) return;
    checkRole(
      request.routeOptions.config.access ?? "change",
      roleOf(request.headers.authorization),
      api.readToken !== undefined,
      () => {
        log.warn({ address: request.ip, url: request.routeOptions.url }, "request with an unknown token");
      },
    );
  };
}

function checkRole(
  access: Access,
  role: ReturnType<ReturnType<typeof roleCheck>>,
  readingNeedsToken: boolean,
  unknown: () => void,
): void {
  if (access === "public") return;
  if (role === "unknownToken") {
    unknown();
    throw new ApiError(
      401,
      "badToken",
      "the token is not this array's: see <data>/api-token, or VARRAY_API_TOKEN where the array was started",
    );
  }
  const needsToken = access === "change" || readingNeedsToken;
  if (needsToken && role === "nobody") {
    throw new ApiError(401, "noToken", "this needs a token: send Authorization: Bearer <token>; it is in <data>/api-token");
  }
  if (access === "change" && role === "reader") {
    throw new ApiError(403, "readOnly", "this token may read and not change: use the admin's");
  }
}

/** TypeBox's compiled check. Parameters and queries are texts: they are converted first. */
function validatorOf(schema: TSchema, convert: boolean) {
  const validator = Compile(schema);
  return (data: unknown): { value: unknown } | { error: ApiError } => {
    const value = convert ? validator.Convert(data) : data;
    if (validator.Check(value)) return { value };
    return { error: explain(validator.Errors(value), value) };
  };
}

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message: string;
  readonly params: object;
}

function explain(errors: readonly SchemaError[], value: unknown): ApiError {
  const extra = errors.find(({ keyword }) => keyword === "additionalProperties");
  if (extra !== undefined) {
    const names = (extra.params as { additionalProperties?: string[] }).additionalProperties ?? [];
    const name = names[0]?.slice(0, 64) ?? "";
    return new ApiError(400, "invalidRequest", `there is no field "${name}" here: see /openapi.json`, name);
  }
  const first = errors[0];
  const field = first?.instancePath.replace(/^\//, "").replaceAll("/", ".") ?? "";
  // JSON's 1e400 is a number, only none that fits: out of range, not of the wrong type.
  if (field !== "" && Math.abs(Number(memberAt(value, field))) === Number.POSITIVE_INFINITY) {
    return new ApiError(422, "numberOutOfRange", `${field} is out of range`, field);
  }
  const allowed = errors.flatMap(({ keyword, params }) =>
    keyword === "const" ? [(params as { allowedValue?: unknown }).allowedValue] : [],
  );
  const pattern = first?.keyword === "pattern" ? String((first.params as { pattern?: unknown }).pattern) : "";
  const wrong =
    first?.keyword === "const"
      ? `must be ${allowed.join(" or ")}`
      : (PATTERN_WORDS.get(pattern) ??
        (first?.message ?? "is not valid").replace(/^must be (number|integer|string|boolean|object|array)$/, mustBeA));
  const message = `${field === "" ? "the request" : field} ${wrong}`;
  return new ApiError(400, "invalidRequest", message, field === "" ? undefined : field);
}

function mustBeA(_text: string, type: string): string {
  if (type === "integer") return "must be a whole number";
  return `must be ${/^[aeiou]/.test(type) ? "an" : "a"} ${type}`;
}

function memberAt(value: unknown, path: string): unknown {
  let at = value;
  for (const key of path.split("."))
    at = typeof at === "object" && at !== null ? (at as Record<string, unknown>)[key] : undefined;
  return at;
}

const DIRECTOR_STATUS = {
  conflict: 409,
  notFound: 404,
  spaceExhausted: 507,
  failed: 500,
  timeout: 504,
  gone: 503,
  busy: 503,
} as const satisfies Record<DirectorError["code"], number>;

const FASTIFY_CODES: Readonly<Record<string, readonly [string, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ["bodyTooLarge", `the body is over ${BODY_BYTES_MAX} bytes`],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ["notJson", "send JSON, with Content-Type: application/json"],
  FST_ERR_CTP_EMPTY_JSON_BODY: ["invalidJson", "the body is empty: send a JSON object"],
  FST_ERR_CTP_INVALID_JSON_BODY: ["invalidJson", "the body is no valid JSON"],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ["invalidRequest", "the body's length is not what Content-Length says"],
  FST_ERR_BAD_URL: ["invalidRequest", "the path is not well formed"],
  FST_ERR_MAX_PARAM_LENGTH: ["invalidRequest", "a part of the path is too long"],
};

function describe(error: unknown, log: Logger): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof DirectorError) return new ApiError(DIRECTOR_STATUS[error.code], error.code, error.message);
  if (error instanceof TooManyChanges) return new ApiError(503, "busy", error.message);
  const { statusCode, code = "" } = error as FastifyError;
  const known = FASTIFY_CODES[code];
  if (known !== undefined && statusCode !== undefined) return new ApiError(statusCode, known[0], known[1]);
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new ApiError(statusCode, "invalidRequest", "the request is not valid: see /openapi.json");
  }
  log.error({ err: error }, "request failed unexpectedly");
  return new ApiError(500, "internal", "this should not have happened; the array's log has more");
}

function sendError(reply: FastifyReply, { statusCode, code, message, field }: ApiError): FastifyReply {
  if (statusCode === 401) void reply.header("www-authenticate", 'Bearer realm="varray"');
  const error = field === undefined ? { code, message } : { code, message, field };
  return reply.code(statusCode).type("application/json; charset=utf-8").serializer(JSON.stringify).send({ error });
}

/** What never became a request: broken, too large a head, or too slow. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: import("node:net").Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, reason, code, message] =
    error.code === "HPE_HEADER_OVERFLOW"
      ? ["431", "Request Header Fields Too Large", "headersTooLarge", `the headers are over ${HEADER_BYTES_MAX} bytes`]
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? ["408", "Request Timeout", "requestTimeout", "the request did not come whole in time"]
        : ["400", "Bad Request", "invalidRequest", "this is no HTTP request"];
  const body = JSON.stringify({ error: { code, message } });
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
