/**
 * Makes a pool on blank drives: its first start.
 *
 * The pool exists from the moment that its document does, which is written last; a start that is cut off before is done
 * again from the beginning.
 */
import type { Drive } from "../../drivers/drive/drive.ts";
import type { PoolConfig } from "../config/config.ts";
import { MetadataStore } from "../map/metadata-store.ts";
import { PoolMap } from "../map/pool-map.ts";
import { type GroupGeometry, groupGeometry } from "../raid/geometry.ts";
import { RaidGroup } from "../raid/raid-group.ts";
import { STRIP_HEADER_BYTES, TAG_BYTES } from "../raid/strip.ts";
import { BLOCK_BYTES } from "./block-io.ts";
import { FIRST_VERSION, POOL_FORMAT_VERSION, POOL_KEY, type PoolDocument, type Verdict } from "./pool-document.ts";
import { MAP_PAGES_MAX, type OpenPoolOptions, openMembers, PoolRefusedError, tellNoSpace } from "./pool-members.ts";
import { NO_VOLUMES } from "./volume-records.ts";

/**
 * @param unavailable - drives that are not there, by position: with any of them the pool can't be made
 * @throws PoolRefusedError
 */
export async function makePool(
  options: OpenPoolOptions,
  unavailable: ReadonlyMap<number, { readonly reason: string }>,
): Promise<Verdict> {
  const { config, runtime } = options;
  if (unavailable.size > 0) {
    const reasons = [...unavailable].map(([position, { reason }]) => `${config.drives[position]}: ${reason}`);
    throw new PoolRefusedError(
      config.name,
      `no drive knows the pool, and it can't be made because drives are not there (${reasons.join("; ")})`,
      [],
    );
  }
  const drives: { drive: Drive; driveId: string }[] = [];
  for (const bay of options.bays.slice(0, config.drives.length)) if (bay.state === "open") drives.push(bay);
  await refuseUsedDrives(config, drives);
  const identity = await drives[0]!.drive.identify();
  const geometry = geometryOf(config, identity);
  const document: PoolDocument = {
    formatVersion: POOL_FORMAT_VERSION,
    version: FIRST_VERSION,
    poolId: runtime.newIdentity(),
    name: config.name,
    epoch: 0,
    journalId: runtime.newIdentity(),
    // The journal is made at the recovery that follows, and no record is in it: until then it may be missing.
    journalLive: false,
    raid: config.raid,
    geometry: {
      blocksPerStrip: geometry.shape.blocksPerStrip,
      stripesPerZone: geometry.stripesPerZone,
      zoneSlots: geometry.zoneSlots,
    },
    members: drives.map(({ driveId }, position) => ({ name: config.drives[position]!, driveId, state: "online" as const })),
    ...NO_VOLUMES,
  };
  const verdict: Verdict = { document, members: drives.map(({ driveId }, bay) => ({ state: "online" as const, driveId, bay })) };
  const group = new RaidGroup(openMembers(options, verdict), geometry.level, {
    onMemberLost: () => Promise.resolve(),
    onNoSpace: (member) => tellNoSpace(options, member),
  });
  const store = new MetadataStore(group);
  await new PoolMap(store, geometry, MAP_PAGES_MAX).format();
  runtime.reached("pool.mapFormatted");
  await store.putDocument(POOL_KEY, document);
  if (group.lostCount > 0) {
    throw new PoolRefusedError(config.name, "a drive failed while the pool was made; mend it and start again", []);
  }
  return verdict;
}

async function refuseUsedDrives(config: PoolConfig, drives: readonly { readonly drive: Drive }[]): Promise<void> {
  for (const { drive } of drives) {
    if ((await drive.listZones()).length === 0) continue;
    throw new PoolRefusedError(
      config.name,
      `drive ${drive.name} holds zones, but no drive has the pool's record: its metadata is lost`,
      [],
    );
  }
}

function geometryOf(config: PoolConfig, drive: { stripBytes: number; stripsPerZone: number; zoneCount: number }): GroupGeometry {
  return groupGeometry({
    ...config.raid,
    blocksPerStrip: (drive.stripBytes - STRIP_HEADER_BYTES) / (BLOCK_BYTES + TAG_BYTES),
    stripesPerZone: drive.stripsPerZone,
    zoneSlots: drive.zoneCount,
  });
}
