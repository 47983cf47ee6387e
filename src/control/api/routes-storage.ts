/** Routes of pools, drives, volumes and LUNs. */
import type { FastifyInstance } from "fastify";
import type { Static } from "typebox";
import { ApiError } from "../api-error.ts";
import type { ArrayState, KnownVolume } from "../array-state.ts";
import { Audit } from "../audit.ts";
import type { DirectorStatus, PoolStatus } from "../contract.ts";
import type { Command, ControlPlane } from "../control-plane.ts";
import { overcommitWarning } from "../overcommit.ts";
import { driveView, lunView, poolView, volumeView, volumeViews } from "../views.ts";
import { createVolume, deleteVolume, growVolume, mapLun, unmapLun } from "../volume-changes.ts";
import { answers, WITH_TOKEN } from "./route-schema.ts";
import {
  CreateVolume,
  DeleteVolumeQuery,
  Done,
  Drive,
  GrowVolume,
  LunMapping,
  LunParams,
  listOf,
  MapLun,
  Pool,
  PoolParams,
  Volume,
  VolumeParams,
} from "./schemas.ts";

/** A full pool of large drives takes minutes; its client may give up before, the destage goes on. */
const DESTAGE_SECONDS = 900;

export function addPoolRoutes(app: FastifyInstance, plane: ControlPlane): void {
  app.get(
    "/api/v1/pools",
    {
      config: { access: "read" },
      schema: { summary: "Pools: state, fill, journal", tags: ["pools"], response: answers(200, listOf("pools", Pool)) },
    },
    async () => {
      const { array } = plane.serving();
      return { pools: poolsOf(await plane.statusOrThrow()).map((pool) => poolView(array, pool)) };
    },
  );
  app.get<{ Params: Static<typeof PoolParams> }>(
    "/api/v1/pools/:pool",
    {
      config: { access: "read" },
      schema: { summary: "One pool", tags: ["pools"], params: PoolParams, response: answers(200, Pool) },
    },
    async ({ params }) => {
      const { array } = plane.serving();
      requirePool(plane, params.pool);
      const pool = poolsOf(await plane.statusOrThrow()).find(({ name }) => name === params.pool);
      if (pool === undefined)
        throw new ApiError(503, "poolNotReported", `no director reports pool ${params.pool} now; try again`);
      return poolView(array, pool);
    },
  );
  app.post<{ Params: Static<typeof PoolParams> }>(
    "/api/v1/pools/:pool/destage",
    {
      schema: {
        summary:
          "Destage everything that is dirty, but parts of blocks whose rest is on a drive that is away; answers when that is done",
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
      // Changes nothing that others plan with, and takes long: not in the queue of changes.
      await plane.audited(request, (audit) => {
        audit.record(
          "info",
          "pool.destageCommanded",
          `pool ${name}`,
          `a destage of all that is dirty in pool ${name} was commanded`,
        );
        return array.ownerLink(pool).request({ kind: "destagePool", pool }, DESTAGE_SECONDS);
      });
      return { done: true };
    },
  );
  app.get(
    "/api/v1/drives",
    {
      config: { access: "read" },
      schema: { summary: "Drives", tags: ["pools"], response: answers(200, listOf("drives", Drive)) },
    },
    async () => {
      plane.serving();
      const pools = poolsOf(await plane.statusOrThrow());
      return { drives: pools.flatMap((pool) => pool.drives.map((drive) => driveView(pool.name, drive))) };
    },
  );
}

export function addVolumeRoutes(app: FastifyInstance, plane: ControlPlane): void {
  app.get(
    "/api/v1/volumes",
    {
      config: { access: "read" },
      schema: { summary: "Volumes", tags: ["volumes"], response: answers(200, listOf("volumes", Volume)) },
    },
    async () => {
      const { array } = plane.serving();
      return { volumes: volumeViews(array, await plane.statusOrThrow()) };
    },
  );
  app.get<{ Params: Static<typeof VolumeParams> }>(
    "/api/v1/volumes/:volume",
    {
      config: { access: "read" },
      schema: { summary: "One volume", tags: ["volumes"], params: VolumeParams, response: answers(200, Volume) },
    },
    async ({ params }) => {
      const { array } = plane.serving();
      return volumeView(array, requireVolume(array, params.volume), await plane.statusOrThrow());
    },
  );
  app.post<{ Body: Static<typeof CreateVolume> }>(
    "/api/v1/volumes",
    {
      schema: {
        summary: "Create a thin volume, and map it where `lun` is given",
        tags: ["volumes"],
        security: WITH_TOKEN,
        body: CreateVolume,
        response: answers(201, Volume),
      },
    },
    async (request, reply) => {
      const known = await plane.change(request, ({ array }, audit) => createVolume(array, audit, request.body));
      return reply.code(201).send(await changedVolume(plane, request, known));
    },
  );
  app.patch<{ Params: Static<typeof VolumeParams>; Body: Static<typeof GrowVolume> }>(
    "/api/v1/volumes/:volume",
    {
      schema: {
        summary: "Grow a volume",
        tags: ["volumes"],
        security: WITH_TOKEN,
        params: VolumeParams,
        body: GrowVolume,
        response: answers(200, Volume),
      },
    },
    async (request) => {
      const { params, body } = request;
      const known = await plane.change(request, ({ array }, audit) =>
        growVolume(array, audit, requireVolume(array, params.volume), body.sizeBytes),
      );
      return changedVolume(plane, request, known);
    },
  );
  app.delete<{ Params: Static<typeof VolumeParams>; Querystring: Static<typeof DeleteVolumeQuery> }>(
    "/api/v1/volumes/:volume",
    {
      schema: {
        summary: "Delete a volume and its data; a mapped one only with force=true",
        tags: ["volumes"],
        security: WITH_TOKEN,
        params: VolumeParams,
        querystring: DeleteVolumeQuery,
        response: answers(200, Done),
      },
    },
    async (request) => {
      const { params, query } = request;
      await plane.change(request, ({ array }, audit) =>
        deleteVolume(array, audit, requireVolume(array, params.volume), query.force === true),
      );
      return { done: true };
    },
  );
}

export function addLunRoutes(app: FastifyInstance, plane: ControlPlane): void {
  app.get(
    "/api/v1/luns",
    {
      config: { access: "read" },
      schema: { summary: "LUN mapping", tags: ["volumes"], response: answers(200, listOf("luns", LunMapping)) },
    },
    async () => {
      const { array } = plane.serving();
      return { luns: array.document.luns.map((mapping) => lunView(array, mapping)) };
    },
  );
  app.post<{ Body: Static<typeof MapLun> }>(
    "/api/v1/luns",
    {
      schema: {
        summary: "Map a volume to a LUN; without `lun` to the lowest free one",
        tags: ["volumes"],
        security: WITH_TOKEN,
        body: MapLun,
        response: answers(201, LunMapping),
      },
    },
    async (request, reply) => {
      const { body } = request;
      const { array } = plane.serving();
      const mapping = await plane.change(request, async (_serving, audit) => {
        const { volume } = requireVolume(array, String(body.volume)).document;
        const lun = await mapLun(array, audit, body.lun === undefined ? { volume } : { volume, lun: body.lun });
        return { lun, volume };
      });
      return reply.code(201).send(lunView(array, mapping));
    },
  );
  app.delete<{ Params: Static<typeof LunParams> }>(
    "/api/v1/luns/:lun",
    {
      schema: {
        summary: "Take a LUN away; the volume stays",
        tags: ["volumes"],
        security: WITH_TOKEN,
        params: LunParams,
        response: answers(200, Done),
      },
    },
    async (request) => {
      await plane.change(request, ({ array }, audit) => unmapLun(array, audit, request.params.lun));
      return { done: true };
    },
  );
}

/** The volume as it is now, and a warning, here and as an event, where its pool can't hold all that was promised. */
async function changedVolume(plane: ControlPlane, { ip }: Command, known: KnownVolume) {
  const { array } = plane.serving();
  // The change is done: a director that does not answer now must not make it look refused.
  const { directors } = await plane.status.readFresh();
  const statuses = directors.filter((status) => status !== undefined);
  const view = volumeView(array, known, statuses);
  const warning = overcommitWarning(
    array,
    poolsOf(statuses).find(({ index }) => index === known.pool),
  );
  if (warning === undefined) return view;
  new Audit(plane.events, ip).record("warning", "pool.overcommitted", `pool ${view.pool}`, warning);
  return { ...view, warnings: [warning] };
}

function poolsOf(statuses: readonly DirectorStatus[]): PoolStatus[] {
  return statuses.flatMap((status) => status.pools).sort((a, b) => a.index - b.index);
}

/** The pool's index. */
export function requirePool(plane: ControlPlane, name: string): number {
  const index = plane.config.pools.findIndex((pool) => pool.name === name);
  if (index >= 0) return index;
  const names = plane.config.pools.map((pool) => pool.name).join(", ");
  throw new ApiError(404, "noSuchPool", `there is no pool "${name}"; there are ${names}`);
}

function requireVolume(array: ArrayState, nameOrNumber: string): KnownVolume {
  const known = array.findVolume(nameOrNumber);
  if (known === undefined) throw new ApiError(404, "noSuchVolume", `there is no volume "${nameOrNumber}"`);
  return known;
}
