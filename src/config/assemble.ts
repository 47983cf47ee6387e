/**
 * Settings → Config: defaults that follow from other settings, and what must hold between settings.
 *
 * Each cross-check names the setting that a person would change.
 */
import path from "node:path";
import { LUN_MAX } from "../control/contract.ts";
import { groupGeometry } from "../raid/geometry.ts";
import { raidLevel } from "../raid/raid-levels.ts";
import { stagingBytes } from "../raid/staging.ts";
import { stripShape } from "../raid/strip.ts";
import type { Config, DirectorConfig, PoolConfig } from "./config.ts";
import type { ConfigProblem } from "./config-error.ts";
import { variableName } from "./environment.ts";
import { isLoopback, joinAddress } from "./host-address.ts";
import { poolRaid } from "./pool-raid.ts";
import type { Settings } from "./schema.ts";
import { formatSize } from "./size.ts";

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const ZONE_BYTES_MIN = 4 * MiB;
const ZONES_PER_DRIVE_MIN = 16;
/** A drive as small as `zone` allows still has this many zones, so that compaction has some to choose from. */
const ZONES_PER_DRIVE_WANTED = 128;
/** 2^32 blocks: a block's place in its pool is 32 bits wide. */
const POOL_BYTES_MAX = 2 ** 44;
const POOLS_MAX = 16;
/** All of them stand in one document while they are made, which a drive takes as one value. */
const INITIAL_VOLUMES_MAX = 256;
/** The pool's map lists its zones in each checkpoint, which a drive takes as one value: 8,192 of them are half of that. */
const ZONES_PER_DRIVE_MAX = 8192;
/** Global memory beside the frames and staging: rings and mailboxes of each pool, and the rings and counters of all. */
const MEMORY_PER_POOL_BYTES = 4 * MiB;
const MEMORY_FIXED_BYTES = 64 * MiB;
const MEMORY_BYTES_MAX = 4 * GiB;

/** Maps that the file gives replace the defaults; variables alone change or add to them. */
export interface Replaced {
  readonly pools: boolean;
  readonly initialVolumes: boolean;
}

export function assembleConfig(settings: Settings, replaced: Replaced, problems: ConfigProblem[]): Config {
  const directors = assembleDirectors(settings, problems);
  const pools = assemblePools(settings, replaced, directors, problems);
  const config: Config = {
    dataFolder: path.resolve(settings.data),
    targetName: settings.target,
    directors,
    pools,
    memory: { frameBytes: settings.memory.frames },
    drive: {
      capacityBytes: settings.drive.capacity,
      stripBlocks: settings.drive.stripBlocks,
      zoneBytes: zoneBytesFor(settings.drive.capacity, settings.drive.zone),
    },
    journal: {
      bytes: settings.journal.bytes,
      ...(settings.journal.mirrorFolder === undefined ? {} : { mirrorFolder: path.resolve(settings.journal.mirrorFolder) }),
    },
    failover: settings.failover,
    initialVolumes: assembleVolumes(settings, replaced, pools, problems),
    logicalBlockBytes: settings.logicalBlockBytes,
    iscsi: settings.iscsi,
    api: { ...settings.api, token: settings.api.token, readToken: settings.api.readToken },
    // A mapping that publishes on loopback only is as good as a bind to loopback.
    open: settings.open || (settings.published !== undefined && isLoopback(settings.published)),
    threadPool: settings.threadPool,
    destage: settings.destage,
    log: settings.log,
  };
  checkRelations(settings, config, problems);
  return config;
}

/**
 * The zone that a drive of this capacity gets: a power of two, small enough for many zones, at most what is configured,
 * but large enough for ZONES_PER_DRIVE_MAX.
 */
export function zoneBytesFor(capacityBytes: number, configuredBytes: number): number {
  const wanted = 2 ** Math.floor(Math.log2(Math.max(1, capacityBytes / ZONES_PER_DRIVE_WANTED)));
  const least = 2 ** Math.ceil(Math.log2(Math.max(1, capacityBytes / ZONES_PER_DRIVE_MAX)));
  return Math.max(Math.min(Math.max(wanted, ZONE_BYTES_MIN), configuredBytes), least);
}

function assembleDirectors(settings: Settings, problems: ConfigProblem[]): DirectorConfig[] {
  const directors: DirectorConfig[] = [];
  for (let index = 0; index < settings.engines * 2; index++) {
    const name = `${Math.floor(index / 2) + 1}${index % 2 === 0 ? "A" : "B"}`;
    const portal = settings.portals[name] ?? {};
    const host = portal.host ?? "127.0.0.1";
    const port = portal.port ?? 3260 + index;
    const reachedAt = settings.published ?? host;
    const advertise = portal.advertise ?? (isWildcard(reachedAt) ? "" : joinAddress(reachedAt, port));
    directors.push({
      name,
      index,
      engine: Math.floor(index / 2),
      portal: { host, port, advertise, groupTag: index + 1 },
    });
  }
  for (const name of Object.keys(settings.portals)) {
    if (directors.some((director) => director.name === name)) continue;
    problems.push({
      key: `portals.${name} (${variableName(["portals", name])}_…)`,
      found: `a portal of a director that ${settings.engines} engine(s) do not have`,
      allowed: `${directors.map((director) => director.name).join(", ")}, or more engines`,
    });
  }
  return directors;
}

function assemblePools(
  settings: Settings,
  replaced: Replaced,
  directors: readonly DirectorConfig[],
  problems: ConfigProblem[],
): PoolConfig[] {
  const defaults = Object.fromEntries(directors.map((_, index) => [String.fromCharCode(65 + index), {}]));
  // Sorted by name, so that a pool's index does not depend on the order of a file or of the environment.
  const named: Settings["pools"] = settings.pools;
  const names = Object.keys(replaced.pools ? named : { ...defaults, ...named }).sort();
  if (names.length === 0 || names.length > POOLS_MAX) {
    problems.push({ key: "pools", found: `${names.length} pools`, allowed: `1 to ${POOLS_MAX}` });
    return [];
  }
  const taken = new Map<string, string>();
  for (const name of names) {
    for (const drive of named[name]?.drives ?? []) claimDrive(taken, drive, { pool: name, setting: "drives" }, problems);
    for (const drive of named[name]?.spares ?? []) claimDrive(taken, drive, { pool: name, setting: "spares" }, problems);
  }
  let nextNumber = 0;
  const nextDrive = (pool: string): string => {
    for (;;) {
      const drive = String(nextNumber++).padStart(2, "0");
      if (taken.has(drive.toLowerCase())) continue;
      taken.set(drive.toLowerCase(), pool);
      return drive;
    }
  };
  const pools: PoolConfig[] = [];
  for (const [index, name] of names.entries()) {
    const pool = named[name] ?? {};
    const problemsBefore = problems.length;
    const raid = poolRaid(name, pool, problems);
    const { driveCount, label } = raidLevel(raid);
    const drives = [...(pool.drives ?? [])];
    while (pool.drives === undefined && drives.length < driveCount) drives.push(nextDrive(name));
    if (drives.length !== driveCount && problems.length === problemsBefore) {
      problems.push({
        key: `pools.${name}.drives (${variableName(["pools", name, "drives"])})`,
        found: `${drives.length} drives`,
        allowed: `${driveCount}: pools.${name} is ${label}`,
      });
    }
    const ownerName = pool.owner ?? directors[index % directors.length]!.name;
    const owner = directors.find((director) => director.name === ownerName);
    if (owner === undefined) {
      problems.push({
        key: `pools.${name}.owner (${variableName(["pools", name, "owner"])})`,
        found: JSON.stringify(ownerName),
        allowed: directors.map((director) => director.name).join(", "),
      });
    }
    const { driveHealth, healing } = settings;
    const reachedBy = directors.filter((director) => director.engine === owner?.engine).map((director) => director.index);
    pools.push({ name, index, raid, drives, spares: [], driveHealth, healing, owner: owner?.index ?? 0, reachedBy });
  }
  // Numbered after the drives of all pools, so that a pool's drives are called what they are without spares.
  return pools.map((pool) => ({ ...pool, spares: [...(named[pool.name]?.spares ?? [nextDrive(pool.name)])] }));
}

function claimDrive(
  taken: Map<string, string>,
  drive: string,
  by: { readonly pool: string; readonly setting: "drives" | "spares" },
  problems: ConfigProblem[],
): void {
  // Folder names: some file systems do not tell upper from lower case.
  const holder = taken.get(drive.toLowerCase());
  if (holder === undefined) taken.set(drive.toLowerCase(), by.pool);
  else {
    problems.push({
      key: `pools.${by.pool}.${by.setting} (${variableName(["pools", by.pool, by.setting])})`,
      found: `drive ${JSON.stringify(drive)}, which pool ${holder} has already`,
      allowed: "every drive once, in one pool",
    });
  }
}

function assembleVolumes(
  settings: Settings,
  replaced: Replaced,
  pools: readonly PoolConfig[],
  problems: ConfigProblem[],
): Config["initialVolumes"] {
  const defaults = Object.fromEntries(pools.map((_, index) => [String(index), {}]));
  const given: Settings["initialVolumes"] = settings.initialVolumes;
  const byLun: Settings["initialVolumes"] = replaced.initialVolumes ? given : { ...defaults, ...given };
  if (Object.keys(byLun).length > INITIAL_VOLUMES_MAX) {
    problems.push({
      key: "initialVolumes",
      found: `${Object.keys(byLun).length} volumes`,
      allowed: `up to ${INITIAL_VOLUMES_MAX}; more are made through the API`,
    });
  }
  const holders = new Map<string, number>();
  const volumes: Config["initialVolumes"][number][] = [];
  for (const lun of Object.keys(byLun)
    .map(Number)
    .sort((a, b) => a - b)) {
    const volume = byLun[String(lun)] ?? {};
    const name = volume.name ?? `volume-${lun}`;
    const pool = volume.pool ?? pools[lun % Math.max(1, pools.length)]?.name ?? "";
    const key = (setting: string) =>
      `initialVolumes.${lun}.${setting} (${variableName(["initialVolumes", String(lun), setting])})`;
    if (lun > LUN_MAX) problems.push({ key: `initialVolumes.${lun}`, found: `LUN ${lun}`, allowed: `LUN 0 to ${LUN_MAX}` });
    if (!pools.some((candidate) => candidate.name === pool)) {
      problems.push({
        key: key("pool"),
        found: JSON.stringify(pool),
        allowed: pools.map((candidate) => candidate.name).join(", "),
      });
    }
    const holder = holders.get(name);
    if (holder !== undefined) {
      problems.push({
        key: key("name"),
        found: `${JSON.stringify(name)}, the name of LUN ${holder} too`,
        allowed: "every name once",
      });
    }
    holders.set(name, lun);
    volumes.push({ name, pool, sizeBytes: volume.size ?? 16 * GiB, lun });
  }
  return volumes;
}

function checkRelations(settings: Settings, config: Config, problems: ConfigProblem[]): void {
  const { zone } = settings.drive;
  if (2 ** Math.round(Math.log2(zone)) !== zone) {
    problems.push({
      key: "drive.zone (VARRAY_DRIVE_ZONE)",
      found: formatSize(zone),
      allowed: "a power of two, as 64MiB or 128MiB",
    });
  }
  const { capacityBytes, zoneBytes } = config.drive;
  if (capacityBytes < ZONES_PER_DRIVE_MIN * zoneBytes) {
    problems.push({
      key: "drive.capacity (VARRAY_DRIVE_CAPACITY)",
      found: `${formatSize(capacityBytes)}, ${Math.floor(capacityBytes / zoneBytes)} zones of ${formatSize(zoneBytes)}`,
      allowed: `at least ${ZONES_PER_DRIVE_MIN} zones: ${formatSize(ZONES_PER_DRIVE_MIN * zoneBytes)}, or a smaller drive.zone`,
    });
  }
  const widest = config.pools.find(({ raid }) => raid.dataDrives * capacityBytes > POOL_BYTES_MAX);
  if (widest !== undefined) {
    problems.push({
      key: "drive.capacity (VARRAY_DRIVE_CAPACITY)",
      found: `${formatSize(capacityBytes)}, ${widest.raid.dataDrives} times in pool ${widest.name}`,
      allowed: `at most ${formatSize(POOL_BYTES_MAX)} of data drives in a pool`,
    });
  }
  if (config.iscsi.firstBurstBytes > config.iscsi.maxBurstBytes) {
    problems.push({
      key: "iscsi.firstBurstBytes (VARRAY_ISCSI_FIRST_BURST_BYTES)",
      found: formatSize(config.iscsi.firstBurstBytes),
      allowed: `at most iscsi.maxBurstBytes, ${formatSize(config.iscsi.maxBurstBytes)} (RFC 7143 §13.14)`,
    });
  }
  const { predictiveErrors, failedErrors } = settings.driveHealth;
  if (failedErrors < predictiveErrors) {
    problems.push({
      key: "driveHealth.failedErrors (VARRAY_DRIVE_HEALTH_FAILED_ERRORS)",
      found: `${failedErrors}`,
      allowed: `at least driveHealth.predictiveErrors, ${predictiveErrors}`,
    });
  }
  if (config.iscsi.idleTimeoutSeconds <= config.iscsi.idlePingSeconds) {
    problems.push({
      key: "iscsi.idleTimeoutSeconds (VARRAY_ISCSI_IDLE_TIMEOUT_SECONDS)",
      found: `${config.iscsi.idleTimeoutSeconds} s`,
      allowed: `more than iscsi.idlePingSeconds, ${config.iscsi.idlePingSeconds} s: a silent host is asked before it is dropped`,
    });
  }
  const besideBytes = MEMORY_FIXED_BYTES + (MEMORY_PER_POOL_BYTES + stagingBytesMax(config)) * config.pools.length;
  if (config.memory.frameBytes + besideBytes > MEMORY_BYTES_MAX) {
    problems.push({
      key: "memory.frames (VARRAY_MEMORY_FRAMES)",
      found: formatSize(config.memory.frameBytes),
      allowed: `at most ${formatSize(MEMORY_BYTES_MAX - besideBytes)}: with staging for ${config.pools.length} pools it must stay below 4GiB`,
    });
  }
  checkPorts(config, problems);
}

/** Staging of one pool, of drives formatted now: each pool has as much as the one that needs most. */
function stagingBytesMax({ pools, drive }: Config): number {
  const { stripBytes } = stripShape(drive.stripBlocks);
  const stripesPerZone = Math.floor(drive.zoneBytes / stripBytes);
  const zoneSlots = 1; // their number makes no difference here
  const sizes = pools.map(({ raid }) =>
    stagingBytes(groupGeometry({ ...raid, blocksPerStrip: drive.stripBlocks, stripesPerZone, zoneSlots })),
  );
  return Math.max(0, ...sizes);
}

/** Two listeners on one port collide when their addresses are the same, or one of them is a wildcard. */
function checkPorts(config: Config, problems: ConfigProblem[]): void {
  const listeners = [
    ...config.directors.map(({ name, portal }) => ({
      key: `portals.${name}.port (${variableName(["portals", name, "port"])})`,
      what: `portal ${name}`,
      ...portal,
    })),
    { key: "api.port (VARRAY_API_PORT)", what: "the API", host: config.api.host, port: config.api.port },
  ];
  for (const [index, listener] of listeners.entries()) {
    const other = listeners.slice(0, index).find(({ host, port }) => port === listener.port && overlaps(host, listener.host));
    if (other === undefined) continue;
    problems.push({ key: listener.key, found: `${listener.port}, the port of ${other.what} too`, allowed: "a port of its own" });
  }
}

function overlaps(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase() || isWildcard(a) || isWildcard(b);
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
