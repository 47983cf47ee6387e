/** Status → what the API shows: no secrets, names in place of numbers. */
import { joinAddress } from "../config/assemble.ts";
import type { Config } from "../config/config.ts";
import type { ArrayState, KnownVolume } from "./array-state.ts";
import type { DirectorStatus, DriveStatus, HostDocument, PoolStatus, VolumeStatus } from "./contract.ts";
import type { Portals } from "./portals.ts";

export function poolView(array: ArrayState, pool: PoolStatus) {
  const { level, dataDrives } = array.config.pools[pool.index]!.raid;
  return {
    name: pool.name,
    state: pool.state,
    ...(pool.reason === undefined ? {} : { reason: pool.reason }),
    owner: array.config.directors[pool.owner]?.name ?? String(pool.owner),
    epoch: pool.epoch,
    raid: `RAID-${level} ${dataDrives}+1`,
    usableBytes: pool.usableBytes,
    liveBytes: pool.liveBytes,
    dirtyBytes: pool.dirtyBytes,
    fillPercent: pool.usableBytes > 0 ? Math.round((1000 * pool.liveBytes) / pool.usableBytes) / 10 : 0,
    journalBytes: pool.journalBytes,
    journalLiveBytes: pool.journalLiveBytes,
    zonesFree: pool.zonesFree,
    zonesUsed: pool.zonesUsed,
    provisionedBytes: pool.volumes.reduce((sum, volume) => sum + volume.sizeBytes, 0),
    drives: pool.drives.map((drive) => driveView(pool.name, drive)),
  };
}

export function driveView(pool: string, drive: DriveStatus) {
  return { ...drive, pool };
}

export function volumeView(array: ArrayState, known: KnownVolume, statuses: readonly DirectorStatus[]) {
  const pool = statuses.flatMap((director) => director.pools).find(({ index }) => index === known.pool);
  const { volume } = known.document;
  const status = pool?.volumes.find((one) => one.volume === volume);
  return viewOf(array, known, status, array.lunsOf(volume));
}

/** All volumes, in order of their numbers: one step for each. */
export function volumeViews(array: ArrayState, statuses: readonly DirectorStatus[]) {
  const reported = new Map<number, VolumeStatus>();
  for (const { pools } of statuses) for (const { volumes } of pools) for (const one of volumes) reported.set(one.volume, one);
  const luns = array.lunsByVolume();
  const volumes = [...array.volumes.values()].sort((a, b) => a.document.volume - b.document.volume);
  return volumes.map((known) => {
    const { volume } = known.document;
    return viewOf(array, known, reported.get(volume), luns.get(volume) ?? []);
  });
}

function viewOf(array: ArrayState, { document, pool }: KnownVolume, status: VolumeStatus | undefined, luns: readonly number[]) {
  return {
    ...document,
    pool: array.config.pools[pool]!.name,
    owner: array.ownerName(pool),
    mappedBytes: status?.mappedBytes ?? 0,
    writeCacheEnabled: status?.writeCacheEnabled ?? document.writeCacheEnabled,
    luns,
  };
}

export function lunView(array: ArrayState, { lun, volume }: { readonly lun: number; readonly volume: number }) {
  const known = array.volumes.get(volume);
  if (known === undefined) return { lun, volume };
  return {
    lun,
    volume,
    name: known.document.name,
    pool: array.config.pools[known.pool]!.name,
    owner: array.ownerName(known.pool),
  };
}

/** Never the secret. */
export function hostView({ name, initiatorName, chap }: HostDocument) {
  return { name, initiatorName, ...(chap === undefined ? {} : { chapUser: chap.user }) };
}

export function portalView(config: Config, portals: Portals, index: number, status: DirectorStatus | undefined) {
  const { name, portal } = config.directors[index]!;
  const state = portals.states[index]!;
  const open = state.open && status?.portal.listening !== false;
  const reason = state.reason ?? status?.portal.reason;
  return {
    director: name,
    address: joinAddress(portal.host, portal.port),
    advertise: portal.advertise,
    groupTag: portal.groupTag,
    open,
    ...(open || reason === undefined ? {} : { reason }),
  };
}
