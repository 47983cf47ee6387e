/**
 * Start-up: from "every director has opened its pools" to "hosts can log in".
 *
 *   waitOpened → chooseDocument → (first start: make it, store it, make the volumes) → route → openPortals
 *
 * Runs on: the control thread, once. A first start that was cut off is finished by the next one: its volumes stand in
 * the document as pending until all of them are made.
 */
import type { Config } from "../config/config.ts";
import { ArrayState, settleAll } from "./array-state.ts";
import {
  type ArrayDocument,
  type ArrayEvent,
  type DirectorOpened,
  FORMAT_VERSION,
  type FoundVolume,
  type PoolStatus,
  type VolumeDocument,
} from "./contract.ts";
import type { DirectorLink } from "./director-link.ts";
import type { EventLog } from "./event-log.ts";
import { naaOf, newArrayId, serialOf } from "./identity.ts";
import { overcommitWarning } from "./overcommit.ts";

/** Recovery replays a journal and reads maps: minutes at worst. */
const OPENED_SECONDS_MAX = 600;

/** What stops the start: the message says what to do. */
class StartUpError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "StartUpError";
  }
}

export interface StartUp {
  readonly state: ArrayState;
  readonly firstStart: boolean;
}

/** @throws StartUpError or DirectorError */
export async function startArray(config: Config, links: readonly DirectorLink[], events: EventLog): Promise<StartUp> {
  const opened = await waitOpened(links);
  const pools = opened.flatMap((one) => one.pools);
  const volumes = opened.flatMap((one) => one.volumes);
  const found = chooseDocument(opened, pools, volumes);
  const document = found ?? firstDocument(config);
  const state = new ArrayState(config, links, events, document, pools, volumes);
  const behind = opened.some((one) => one.pools.length > 0 && one.array?.version !== document.version);
  if (found === undefined || behind || found.targetName !== config.targetName)
    await state.store({ targetName: config.targetName });
  await makePendingVolumes(state, pools);
  reportStrays(state, pools);
  reportOvercommit(state, pools);
  await state.route();
  return { state, firstStart: found === undefined };
}

async function waitOpened(links: readonly DirectorLink[]): Promise<DirectorOpened[]> {
  let timer: NodeJS.Timeout | undefined;
  const missing = new Set(links.map((link) => link.director.name));
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new StartUpError(`director(s) ${[...missing].join(", ")} did not open their pools within ${OPENED_SECONDS_MAX} s`));
    }, OPENED_SECONDS_MAX * 1000);
  });
  const all = settleAll(
    links.map(async (link) => {
      const opened = await link.opened;
      missing.delete(link.director.name);
      return opened;
    }),
  );
  try {
    return await Promise.race([all, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The newest document on any drive; undefined on a first start. */
function chooseDocument(
  opened: readonly DirectorOpened[],
  pools: readonly PoolStatus[],
  volumes: readonly FoundVolume[],
): ArrayDocument | undefined {
  let newest: ArrayDocument | undefined;
  for (const { array } of opened) {
    if (array === undefined) continue;
    if (array.formatVersion !== FORMAT_VERSION) {
      throw new StartUpError(
        `the array's document has format version ${array.formatVersion}, this varray reads ${FORMAT_VERSION}: start the varray that wrote it`,
      );
    }
    if (newest !== undefined && newest.arrayId !== array.arrayId) {
      throw new StartUpError(
        `the pools belong to different arrays (${newest.arrayId} and ${array.arrayId}): give each array a data folder of its own`,
      );
    }
    if (newest === undefined || array.version > newest.version) newest = array;
  }
  if (newest !== undefined) return newest;
  // Nothing says which array this is. That is a first start only if nothing is there that an array could have left.
  const countOf = ({ index }: PoolStatus): number => volumes.filter(({ pool }) => pool === index).length;
  const known = pools.filter((pool) => pool.state === "failed" || countOf(pool) > 0);
  if (known.length > 0) {
    const states = known.map((pool) => `${pool.name}: ${pool.reason ?? `${countOf(pool)} volumes`}`).join("; ");
    const missing = known.some(({ drives }) => drives.some(({ state }) => state === "missing"));
    const first = missing ? "bring the missing drives back" : "see to what each pool says";
    throw new StartUpError(`no drive has the array's document, and this is no first start (${states}): ${first}`);
  }
  return undefined;
}

function firstDocument(config: Config): ArrayDocument {
  const arrayId = newArrayId();
  const createdAt = new Date().toISOString();
  const pendingVolumes = config.initialVolumes.map((initial, index) => ({
    volume: index + 1,
    name: initial.name,
    sizeBytes: initial.sizeBytes,
    logicalBlockBytes: config.logicalBlockBytes,
    naa: naaOf(arrayId, index + 1),
    serial: serialOf(arrayId, index + 1),
    writeCacheEnabled: true,
    createdAt,
    pool: config.pools.findIndex((pool) => pool.name === initial.pool),
  }));
  return {
    formatVersion: FORMAT_VERSION,
    version: 0,
    arrayId,
    targetName: config.targetName,
    nextVolume: config.initialVolumes.length + 1,
    hosts: [],
    allowListOnly: false,
    luns: config.initialVolumes.map(({ lun }, index) => ({ lun, volume: index + 1 })),
    pendingVolumes,
  };
}

async function makePendingVolumes(state: ArrayState, pools: readonly PoolStatus[]): Promise<void> {
  const { pendingVolumes } = state.document;
  if (pendingVolumes === undefined) return;
  for (const { pool, ...volume } of pendingVolumes) {
    if (state.volumes.has(volume.volume)) continue;
    const status = pools.find(({ index }) => index === pool);
    if (status === undefined || status.state === "failed" || status.state === "readonly") {
      throw new StartUpError(
        `volume ${volume.name} of the first start can't be made: pool ${state.config.pools[pool]?.name ?? pool} ${status?.reason ?? "is not there"}`,
      );
    }
    const document: VolumeDocument = volume;
    await state.ownerLink(pool).request({ kind: "createVolume", pool, volume: document });
    state.volumes.set(volume.volume, { document, pool });
  }
  const { pendingVolumes: _, ...rest } = state.document;
  state.document = rest;
  await state.store({});
}

/** LUNs without their volume: a failed pool's, which come back with it. */
function reportStrays(state: ArrayState, pools: readonly PoolStatus[]): void {
  const failed = pools.filter((pool) => pool.state === "failed").map((pool) => pool.name);
  for (const { lun, volume } of state.document.luns) {
    if (state.volumes.has(volume)) continue;
    const why = failed.length > 0 ? `pool(s) ${failed.join(", ")} failed` : "no pool has it";
    state.events.add(
      eventNow("warning", "lun.volumeMissing", `LUN ${lun}`, `LUN ${lun} has no volume: volume ${volume} is not there (${why})`),
    );
  }
}

/** At each start, for what was promised before; later with the change that does it. */
function reportOvercommit(state: ArrayState, pools: readonly PoolStatus[]): void {
  for (const pool of pools) {
    const warning = overcommitWarning(state, pool);
    if (warning !== undefined) state.events.add(eventNow("warning", "pool.overcommitted", `pool ${pool.name}`, warning));
  }
}

export function eventNow(severity: ArrayEvent["severity"], type: string, subject: string, message: string): ArrayEvent {
  return { time: new Date().toISOString(), severity, type, subject, message };
}
