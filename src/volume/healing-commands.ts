/**
 * What people ask of a pool's healing: scrub, shares, rebuild at once, drives replaced.
 *
 * Runs on: the owning director's thread; setup path only.
 * Invariant: a drive is given away to be formatted only if nothing that lives needs it.
 */
import type { ScrubAction } from "../control/contract.ts";
import { isWritable } from "../raid/raid-group.ts";
import type { Pool } from "./pool.ts";
import type { ServedPool } from "./pool-service.ts";
import { PoolChangeError } from "./volume-changes.ts";
import { lostZones } from "./zone-check.ts";

/** @throws PoolChangeError */
export async function scrubPool({ parts, scrub }: Pool, action: ScrubAction): Promise<void> {
  if (parts.health.failed) throw new PoolChangeError("conflict", `pool ${parts.name} does not serve`);
  if (action === "start") return scrub.start();
  const wasThere = action === "pause" ? scrub.hold() : await scrub.cancel();
  if (!wasThere) throw new PoolChangeError("conflict", `no scrub of pool ${parts.name} is under way`);
}

export interface Shares {
  readonly rebuildSharePercent?: number | undefined;
  readonly scrubSharePercent?: number | undefined;
}

export function setShares({ healing, scrub }: Pool, { rebuildSharePercent, scrubSharePercent }: Shares): void {
  if (rebuildSharePercent !== undefined) healing.pace.sharePercent = rebuildSharePercent;
  if (scrubSharePercent !== undefined) scrub.pace.sharePercent = scrubSharePercent;
}

/** On command: nobody waits any more for a drive to come back. */
export async function hurry(pool: ServedPool): Promise<void> {
  if (pool.readOnly) pool.tryAnew();
  else await pool.healing.hurry();
}

/** People put a drive into a place. */
export async function drivePlaced(pool: ServedPool, drive: string): Promise<void> {
  if (pool.readOnly) pool.tryAnew();
  else await pool.healing.placed(drive);
}

/**
 * @returns identities of drives that may be wiped out in this place: those that were there, as far as the pool knows
 * @throws PoolChangeError where what is on the drive may be needed
 */
export function mayReplaceDrive({ parts, healing, record }: Pool, name: string): string[] {
  const { group, health } = parts;
  const refuse = (why: string) => new PoolChangeError("conflict", `drive ${name} can't be replaced: ${why}`);
  const shelf = healing.shelf.named(name);
  if (shelf === undefined) throw new PoolChangeError("notFound", `pool ${parts.name} has no drive ${name}`);
  if (health.failed) throw refuse(`pool ${parts.name} does not serve, and it may have what is needed to mend that`);
  const member = group.members.find((candidate) => candidate.name === name);
  if (member !== undefined && isWritable(member.state)) throw refuse(`it is in use (${member.state}); pull it first`);
  if (group.members.some(({ former }) => former?.name === name)) throw refuse("another drive is being built from it");
  if (member === undefined && shelf.state !== "failed" && shelf.state !== "missing")
    throw refuse(shelf.reason ?? `it is in order (${shelf.state})`);
  if (member?.state === "foreign") throw refuse(member.reason ?? "another drive is in its place");
  const lost = lostZones(parts);
  if (lost.length > 0)
    throw refuse(`${lost.length} zones can't be had whole from the other drives, and it may have what they lack`);
  const damaged = parts.driveHealth.damagedZones.size;
  if (member?.state === "missing" && damaged > 0)
    throw refuse(`blocks in ${damaged} zones can't be read without it: bring it back, or put a blank drive into its place`);
  const retired = (record.document.retired ?? []).filter((drive) => drive.name === name);
  return [shelf.driveId, member?.driveId ?? "", ...retired.map(({ driveId }) => driveId)].filter((id) => id !== "");
}
