/**
 * What the drives hold against what the map says that they must hold: zone by zone, at every start.
 *
 * A zone's number is given out once, and a zone that is finished never changes. So a drive that has a zone finished has it
 * as it is, however old the rest of the drive may be; and a drive that lacks one was not there, or is an older copy, or lost
 * it. It is trusted no more for what it lacks: it is rebuilding, and the zones that it has are not written again.
 *
 * Runs on: the director that opens the pool.
 * Invariants:
 *  1. A drive that holds a zone that the map does not know yet proves that the map is an older one: the pool stays closed.
 *  2. A member is trusted only if it has every zone in which something lives.
 */
import type { Drive } from "../../drivers/drive/drive.ts";
import { DriveError } from "../../drivers/drive/drive.ts";
import { MapDamagedError } from "../map/pool-map.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import { type FormerDrive, isFenced, isTrusted, isWritable, type Member, setAway } from "../raid/raid-group.ts";
import type { PoolParts } from "./pool-parts.ts";

interface Found {
  /** Zones that the drive has whole, and zones in which nothing lives. */
  readonly whole: Set<number>;
  /** Zones that it lacks and something lives in. */
  readonly lacking: number;
}

/**
 * Finishes zones that were open, removes those that the map never heard of, and says of each member what it has.
 * Whether what no drive has is too much is for the caller to say (`lostZones`).
 * @param formerLost - told of a drive that another is built from and that can't be asked: it is away
 */
export async function checkZones(parts: PoolParts, formerLost: (former: FormerDrive, error: DriveError) => void): Promise<void> {
  const { group, map } = parts;
  const next = map.zones.nextZone;
  // Who proves the map to be an older one has done no wrong: all are asked before anything is made of what one of them says.
  let damage: MapDamagedError | undefined;
  await group.onEach(group.positions, async (drive, position) => {
    const member = group.members[position]!;
    const found = await lookAt(parts, drive).catch((error: unknown) => {
      if (!(error instanceof MapDamagedError)) throw error;
      damage ??= error;
    });
    if (found === undefined) return;
    const { whole, lacking } = found;
    member.hasZone = (zone) => zone >= next || whole.has(zone);
    if (lacking > 0) lacks(parts, member, lacking);
  });
  if (damage !== undefined) throw damage;
  await lookAtFormers(parts, formerLost);
}

/** As `checkZones`, of members that are read and never written: nothing is finished, nothing removed, nothing put on record. */
export async function surveyZones(parts: PoolParts): Promise<void> {
  const { group } = parts;
  await Promise.all(
    group.members.map(async (member) => {
      const { drive, position } = member;
      if (drive === undefined || !isWritable(member.state)) return;
      try {
        const { whole, lacking } = await lookAt(parts, drive);
        member.hasZone = (zone) => whole.has(zone);
        if (lacking > 0 && isTrusted(member.state)) {
          member.state = "rebuilding";
          member.hasMap = true;
          member.reason = `it lacks ${lacking} zones that it should have`;
        }
      } catch (error) {
        if (error instanceof MapDamagedError) throw error;
        await group.lose(position, error, drive);
      }
    }),
  );
  await lookAtFormers(parts);
}

/** Zones of which, by what the drives have, some stripes can't be had. */
export function lostZones({ group, map, zoneUse }: PoolParts): number[] {
  const { zones } = map;
  const lost: number[] = [];
  for (let slot = 0; slot < zones.slotCount; slot++) {
    // What waits for its map entry lives soon.
    if (zones.live[slot] === 0 && zoneUse.uncommitted[slot] === 0) continue;
    const zone = zones.zone[slot]!;
    const without = group.positions.filter((position) => group.readable(position, zone) === undefined);
    if (!group.level.survives(without)) lost.push(zone);
  }
  return lost;
}

async function lookAt(parts: PoolParts, drive: Drive): Promise<Found> {
  const { group, map, runtime, name } = parts;
  const { zones } = map;
  const slots = new Map<number, number>();
  for (let slot = 0; slot < zones.slotCount; slot++)
    if (zones.state[slot] !== ZONE_STATE.free) slots.set(zones.zone[slot]!, slot);
  const whole = new Set<number>();
  for (const { zone, finished } of await drive.listZones()) {
    const slot = slots.get(zone);
    if (slot === undefined) {
      if (zone >= zones.nextZone) {
        throw new MapDamagedError(
          `drive ${drive.name} has zone ${zone}, which the map of pool ${name} does not know yet: the map is an older copy`,
        );
      }
      if (group.isReadOnly) continue;
      await drive.resetZone(zone);
    } else if (finished) {
      whole.add(zone);
      continue;
    } else if (zones.state[slot] === ZONE_STATE.open && (await hasStripes(parts, drive, slot))) {
      whole.add(zone);
      if (group.isReadOnly) continue;
      await drive.finishZone(zone);
    } else continue;
    runtime.reached("recovery.zoneMended");
  }
  let lacking = 0;
  for (const [zone, slot] of slots) {
    if (whole.has(zone)) continue;
    if (zones.live[slot]! > 0) lacking += 1;
    else whole.add(zone);
  }
  return { whole, lacking };
}

/** Strips of a zone rise: who has the last one that something lives in was there for those before. */
async function hasStripes(parts: PoolParts, drive: Drive, slot: number): Promise<boolean> {
  const { map, staging, geometry } = parts;
  const stripes = map.zones.stripes[slot]!;
  if (stripes === 0) return true;
  const address = await staging.strips.take();
  const late: Promise<void>[] = [];
  try {
    const { stripBytes } = geometry.shape;
    const zone = map.zones.zone[slot]!;
    await drive.readStrips({ zone, firstStrip: stripes - 1, count: 1, address, strideBytes: stripBytes });
    return true;
  } catch (error) {
    if (error instanceof DriveError && error.landed !== undefined) late.push(error.landed);
    // A strip that is there and can't be read is what reads repair.
    if (error instanceof DriveError && error.kind === "unrecoveredRead") return true;
    if (error instanceof DriveError && error.kind === "notFound") return false;
    throw error;
  } finally {
    staging.strips.giveLanded(address, late);
  }
}

/** One that can't say what it has may have what nothing else has: it is away, and asked again. */
async function lookAtFormers(
  { group, map }: PoolParts,
  lost: (former: FormerDrive, error: DriveError) => void = () => undefined,
): Promise<void> {
  const next = map.zones.nextZone;
  for (const { former } of group.members) {
    if (former?.drive === undefined) continue;
    try {
      const stats = await former.drive.listZones();
      const finished = new Set(stats.flatMap((stat) => (stat.finished ? [stat.zone] : [])));
      former.hasZone = (zone) => zone < next && finished.has(zone);
    } catch (error) {
      if (isFenced(error) || !(error instanceof DriveError)) throw error;
      setAway(former);
      lost(former, error);
    }
  }
}

function lacks({ name, runtime }: PoolParts, member: Member, lacking: number): void {
  if (!isTrusted(member.state)) return;
  member.state = "rebuilding";
  // It was read for the map, and has what the other copies had more of.
  member.hasMap = true;
  member.reason = `it lacks ${lacking} zones that it should have, and is brought up to date`;
  runtime.raise({
    severity: "warning",
    type: "drive.stale",
    subject: `drive ${member.name}`,
    message: `pool ${name}: drive ${member.name} is an older copy, or lost what it had: ${member.reason}`,
  });
}
