/** Status → what the API shows: no secrets, names in place of numbers. */
import { joinAddress } from "../config/assemble.ts";
import type { Config } from "../config/config.ts";
import type { ArrayState, KnownVolume } from "./array-state.ts";
import type { DirectorStatus, DriveStatus, HostDocument, PoolStatus } from "./contract.ts";
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

export function volumeView(array: ArrayState, { document, pool }: KnownVolume, statuses: readonly DirectorStatus[]) {
  const status = statuses
    .flatMap((director) => director.pools)
    .flatMap((one) => one.volumes)
    .find(({ volume }) => volume === document.volume);
  return {
    ...document,
    pool: array.config.pools[pool]!.name,
    owner: array.ownerName(pool),
    mappedBytes: status?.mappedBytes ?? 0,
    writeCacheEnabled: status?.writeCacheEnabled ?? document.writeCacheEnabled,
    luns: array.lunsOf(document.volume),
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
