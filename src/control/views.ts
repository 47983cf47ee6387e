/** Status → what the API shows: no secrets, names in place of numbers. */

import type { Config } from "../config/config.ts";
import { joinAddress } from "../config/host-address.ts";
import { raidLevel } from "../raid/raid-levels.ts";
import type { ArrayState, KnownVolume } from "./array-state.ts";
import type { DirectorStatus, DriveStatus, HostDocument, LostStatus, PoolStatus, VolumesUsage } from "./contract.ts";
import { provisionedBytes } from "./overcommit.ts";
import type { Portals } from "./portals.ts";

/** The array keeps blocks of this size; one is lost whole. */
const LOST_BLOCK_BYTES = 4096;

export function poolView(array: ArrayState, pool: PoolStatus) {
  return {
    name: pool.name,
    state: pool.state,
    ...(pool.reason === undefined ? {} : { reason: pool.reason }),
    owner: array.config.directors[pool.owner]?.name ?? String(pool.owner),
    epoch: pool.epoch,
    raid: raidLevel(array.config.pools[pool.index]!.raid).label,
    usableBytes: pool.usableBytes,
    liveBytes: pool.liveBytes,
    dirtyBytes: pool.dirtyBytes,
    fillPercent: pool.usableBytes > 0 ? Math.round((1000 * pool.liveBytes) / pool.usableBytes) / 10 : 0,
    journalBytes: pool.journalBytes,
    journalLiveBytes: pool.journalLiveBytes,
    zonesFree: pool.zonesFree,
    zonesUsed: pool.zonesUsed,
    ...(pool.rebuild === undefined ? {} : { rebuild: pool.rebuild }),
    ...(pool.rebuildSharePercent === undefined ? {} : { rebuildSharePercent: pool.rebuildSharePercent }),
    ...(pool.scrub === undefined ? {} : { scrub: pool.scrub }),
    ...(pool.lost === undefined ? {} : { lost: lostView(array, pool.lost) }),
    ...(pool.unreadable === undefined ? {} : { unreadable: lostView(array, pool.unreadable) }),
    provisionedBytes: provisionedBytes(array, pool.index),
    drives: pool.drives.map((drive) => driveView(pool.name, drive)),
  };
}

/** In the blocks that hosts count in: what a restore needs to know. */
function lostView(array: ArrayState, { blocks, ranges, unlistedBlocks }: LostStatus) {
  return {
    lostBytes: blocks * LOST_BLOCK_BYTES,
    unlistedBytes: unlistedBlocks * LOST_BLOCK_BYTES,
    ranges: ranges.map(({ volume, firstBlock, blockCount }) => {
      const document = array.volumes.get(volume)?.document;
      const logicalBlockBytes = document?.logicalBlockBytes ?? LOST_BLOCK_BYTES;
      const each = LOST_BLOCK_BYTES / logicalBlockBytes;
      return {
        volume,
        name: document?.name ?? "",
        logicalBlockBytes,
        firstLba: firstBlock * each,
        lbaCount: blockCount * each,
      };
    }),
  };
}

export function driveView(pool: string, drive: DriveStatus) {
  return { ...drive, pool };
}

export function volumeView(array: ArrayState, known: KnownVolume, statuses: readonly DirectorStatus[]) {
  const pool = statuses.flatMap((director) => director.pools).find(({ index }) => index === known.pool);
  const { volume } = known.document;
  const at = pool?.usage.volume.indexOf(volume) ?? -1;
  return viewOf(array, known, { usage: pool?.usage, at, luns: array.lunsOf(volume) });
}

/** All volumes, in order of their numbers: one step for each. */
export function volumeViews(array: ArrayState, statuses: readonly DirectorStatus[]) {
  const reported = new Map<number, { usage: VolumesUsage; at: number }>();
  for (const { usage } of statuses.flatMap(({ pools }) => pools)) {
    for (const [at, volume] of usage.volume.entries()) reported.set(volume, { usage, at });
  }
  const luns = array.lunsByVolume();
  const volumes = [...array.volumes.values()].sort((a, b) => a.document.volume - b.document.volume);
  return volumes.map((known) => {
    const { volume } = known.document;
    return viewOf(array, known, { usage: undefined, at: -1, ...reported.get(volume), luns: luns.get(volume) ?? [] });
  });
}

/** @param shown.at - the volume's place in `usage`; below 0 where no director reports it */
function viewOf(
  array: ArrayState,
  { document, pool }: KnownVolume,
  shown: { readonly usage: VolumesUsage | undefined; readonly at: number; readonly luns: readonly number[] },
) {
  const { usage, at, luns } = shown;
  const cacheEnabled = usage?.writeCacheEnabled[at];
  return {
    ...document,
    pool: array.config.pools[pool]!.name,
    owner: array.ownerName(pool),
    mappedBytes: usage?.mappedBytes[at] ?? 0,
    writeCacheEnabled: cacheEnabled === undefined ? document.writeCacheEnabled : cacheEnabled === 1,
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
