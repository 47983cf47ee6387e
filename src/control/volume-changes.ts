/**
 * Creating, growing and deleting volumes, and mapping them to LUNs. Each runs inside the ChangeQueue.
 *
 * Order of a creation: number taken durably → volume made at its owner → routed → LUN stored → routed. A crash in between
 * leaves at most a number that nobody gets, or a volume without a LUN.
 */
import type { VolumeNumber } from "../volume/block-io.ts";
import { ApiError } from "./api-error.ts";
import type { ArrayState, KnownVolume } from "./array-state.ts";
import type { Audit } from "./audit.ts";
import { LUN_MAX, VOLUME_BYTES_MAX, VOLUMES_MAX, type VolumeDocument } from "./contract.ts";
import { naaOf, serialOf } from "./identity.ts";

const VOLUME_BYTES_MIN = 2 ** 20;
const VOLUME_BYTES_MULTIPLE = 4096;

export interface NewVolume {
  readonly name: string;
  readonly pool: string;
  readonly sizeBytes: number;
  readonly logicalBlockBytes?: 512 | 4096;
  readonly lun?: number;
}

export async function createVolume(array: ArrayState, audit: Audit, wanted: NewVolume): Promise<KnownVolume> {
  const pool = array.config.pools.findIndex(({ name }) => name === wanted.pool);
  if (pool < 0) {
    const names = array.config.pools.map(({ name }) => name).join(", ");
    throw new ApiError(404, "noSuchPool", `there is no pool "${wanted.pool}"; there are ${names}`, "pool");
  }
  checkSize(wanted.sizeBytes);
  // The failed pool may be the one that knows the highest number given so far: none is given twice.
  if (array.failedPools.length > 0) {
    throw new ApiError(
      409,
      "poolFailed",
      `pool ${array.failedPools.join(", ")} failed to open: bring its drives back and restart, or take it out of the configuration`,
    );
  }
  if (array.findVolume(wanted.name) !== undefined) {
    throw new ApiError(409, "nameInUse", `a volume "${wanted.name}" exists; choose another name`, "name");
  }
  if (array.volumes.size >= VOLUMES_MAX) {
    throw new ApiError(409, "tooManyVolumes", `the array has ${VOLUMES_MAX} volumes, which is the most; delete one first`);
  }
  if (wanted.lun !== undefined) checkLunFree(array, wanted.lun);

  const volume = array.document.nextVolume;
  await array.store({ nextVolume: volume + 1 });
  const document: VolumeDocument = {
    volume,
    name: wanted.name,
    sizeBytes: wanted.sizeBytes,
    logicalBlockBytes: wanted.logicalBlockBytes ?? array.config.logicalBlockBytes,
    naa: naaOf(array.document.arrayId, volume),
    serial: serialOf(array.document.arrayId, volume),
    writeCacheEnabled: true,
    createdAt: new Date().toISOString(),
  };
  await array.ownerLink(pool).request({ kind: "createVolume", pool, volume: document });
  const known: KnownVolume = { document, pool };
  array.volumes.set(volume, known);
  audit.record(
    "info",
    "volume.created",
    `volume ${document.name}`,
    `volume ${document.name} (number ${volume}, ${document.sizeBytes} bytes) was created in pool ${wanted.pool}`,
  );
  await array.route();
  if (wanted.lun !== undefined) await mapLun(array, audit, { lun: wanted.lun, volume });
  return known;
}

export async function growVolume(array: ArrayState, audit: Audit, known: KnownVolume, sizeBytes: number): Promise<KnownVolume> {
  checkSize(sizeBytes);
  if (sizeBytes < known.document.sizeBytes) {
    throw new ApiError(
      409,
      "shrinkRefused",
      `volume ${known.document.name} has ${known.document.sizeBytes} bytes and volumes only grow: data beyond ${sizeBytes} would be lost`,
      "sizeBytes",
    );
  }
  if (sizeBytes > known.document.sizeBytes) {
    await array.ownerLink(known.pool).request({ kind: "growVolume", volume: known.document.volume, sizeBytes });
    const grown: KnownVolume = { pool: known.pool, document: { ...known.document, sizeBytes } };
    array.volumes.set(known.document.volume, grown);
    const { name } = known.document;
    const sizes = `from ${known.document.sizeBytes} to ${sizeBytes} bytes`;
    audit.record("info", "volume.grown", `volume ${name}`, `volume ${name} was grown ${sizes}`);
    await array.route();
    return grown;
  }
  return known;
}

export async function deleteVolume(array: ArrayState, audit: Audit, known: KnownVolume, force: boolean): Promise<void> {
  const { volume, name } = known.document;
  const luns = array.lunsOf(volume);
  if (luns.length > 0 && !force) {
    throw new ApiError(
      409,
      "volumeMapped",
      `volume ${name} is LUN ${luns.join(", ")}: hosts may use it. Unmap it first, or repeat with force (?force=true, --force) to delete it and its data`,
    );
  }
  if (luns.length > 0) {
    await array.store({ luns: array.document.luns.filter((mapping) => mapping.volume !== volume) });
    for (const lun of luns) recordUnmapped(audit, lun, name);
  }
  // Out of the routing first: no I/O is on its way to a volume that goes.
  array.volumes.delete(volume);
  try {
    await array.route();
    await array.ownerLink(known.pool).request({ kind: "deleteVolume", volume });
  } catch (error) {
    array.volumes.set(volume, known);
    await array.route().catch(() => {}); // the first failure is the one to report
    throw error;
  }
  const pool = array.config.pools[known.pool]!.name;
  const forced = luns.length > 0 ? `, with force: it was LUN ${luns.join(", ")}` : force ? ", with force" : "";
  audit.record(
    luns.length > 0 ? "critical" : "warning",
    "volume.deleted",
    `volume ${name}`,
    `volume ${name} (number ${volume}, ${known.document.sizeBytes} bytes, pool ${pool}) was deleted with its data${forced}`,
  );
}

/** Without `lun`, the lowest free one. Returns the LUN. */
export async function mapLun(
  array: ArrayState,
  audit: Audit,
  mapping: { readonly lun?: number; readonly volume: VolumeNumber },
): Promise<number> {
  const lun = mapping.lun ?? lowestFreeLun(array);
  checkLunFree(array, lun);
  const already = array.lunsOf(mapping.volume);
  if (already.length > 0) {
    throw new ApiError(409, "volumeMapped", `the volume is LUN ${already.join(", ")} already; unmap that first`, "volume");
  }
  const luns = [...array.document.luns, { lun, volume: mapping.volume }].sort((a, b) => a.lun - b.lun);
  await array.store({ luns });
  const name = array.volumes.get(mapping.volume)?.document.name ?? String(mapping.volume);
  audit.record("info", "lun.mapped", `LUN ${lun}`, `volume ${name} was mapped to LUN ${lun}`);
  await array.route();
  return lun;
}

export async function unmapLun(array: ArrayState, audit: Audit, lun: number): Promise<void> {
  const mapped = array.document.luns.find((mapping) => mapping.lun === lun);
  if (mapped === undefined) {
    throw new ApiError(404, "noSuchLun", `no volume is mapped to LUN ${lun}`);
  }
  await array.store({ luns: array.document.luns.filter((mapping) => mapping.lun !== lun) });
  recordUnmapped(audit, lun, array.volumes.get(mapped.volume)?.document.name ?? String(mapped.volume));
  await array.route();
}

function recordUnmapped(audit: Audit, lun: number, volume: string): void {
  audit.record("info", "lun.unmapped", `LUN ${lun}`, `LUN ${lun} was taken away from volume ${volume}`);
}

function checkLunFree(array: ArrayState, lun: number): void {
  if (lun < 0 || lun > LUN_MAX) throw new ApiError(422, "lunOutOfRange", `LUN ${lun} is not between 0 and ${LUN_MAX}`, "lun");
  if (array.document.luns.some((mapping) => mapping.lun === lun)) {
    throw new ApiError(409, "lunInUse", `LUN ${lun} is taken; the lowest free one is ${lowestFreeLun(array)}`, "lun");
  }
}

function lowestFreeLun(array: ArrayState): number {
  const taken = new Set(array.document.luns.map(({ lun }) => lun));
  for (let lun = 0; lun <= LUN_MAX; lun++) if (!taken.has(lun)) return lun;
  throw new ApiError(409, "noLunFree", `all ${LUN_MAX + 1} LUNs are taken; unmap one first`);
}

/** 400 for what is no whole number, 422 for a whole number that can't be a size. */
function checkSize(sizeBytes: number): void {
  if (Number.isFinite(sizeBytes) && !Number.isInteger(sizeBytes)) {
    throw new ApiError(400, "invalidBody", "sizeBytes must be a whole number of bytes", "sizeBytes");
  }
  if (sizeBytes < VOLUME_BYTES_MIN || sizeBytes > VOLUME_BYTES_MAX) {
    throw new ApiError(422, "sizeOutOfRange", `sizeBytes must be from ${VOLUME_BYTES_MIN} to ${VOLUME_BYTES_MAX}`, "sizeBytes");
  }
  if (sizeBytes % VOLUME_BYTES_MULTIPLE !== 0) {
    throw new ApiError(422, "sizeNotAligned", `sizeBytes must be a multiple of ${VOLUME_BYTES_MULTIPLE}`, "sizeBytes");
  }
}
