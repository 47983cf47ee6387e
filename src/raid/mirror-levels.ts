/**
 * RAID-1 and RAID-10: each column on drives of its own, all of them alike. No parity, so nothing has to rotate.
 *
 *   RAID-1 3-way: 0 0 0      RAID-10 2×2: 0 0 1 1      in the order of positions, the same in every stripe
 *
 * The copies of a strip are the same bytes, header included: it names the first copy's position. So a stripe is staged once
 * for all its copies, and a copy is rebuilt by copying.
 */
import { type RaidLevel, rolesOf } from "./raid-level.ts";

const DRIVES_MAX = 16;
const RAID_10_COPIES = 2;

export function raid1(copies: number): RaidLevel {
  if (copies !== 2 && copies !== 3) throw new RangeError(`RAID-1 has 2 or 3 copies, not ${copies}`);
  return { ...mirrored(1, copies), config: { level: 1, dataDrives: 1, copies }, label: `RAID-1 ${copies}-way` };
}

export function raid10(dataDrives: number): RaidLevel {
  if (dataDrives < 2 || dataDrives * RAID_10_COPIES > DRIVES_MAX)
    throw new RangeError(`RAID-10 has 2 to ${DRIVES_MAX / RAID_10_COPIES} data drives, not ${dataDrives}`);
  return {
    ...mirrored(dataDrives, RAID_10_COPIES),
    config: { level: 10, dataDrives, copies: RAID_10_COPIES },
    label: `RAID-10 ${dataDrives}×${RAID_10_COPIES}`,
  };
}

function mirrored(columns: number, copies: number): Omit<RaidLevel, "config" | "label"> {
  return {
    driveCount: columns * copies,
    dataColumns: columns,
    copies,
    parities: 0,
    roles: rolesOf(columns, 0),
    tolerance: copies - 1,
    role: (_, position) => Math.floor(position / copies),
    positionOf: (_, role, copy) => role * copies + copy,
    survives: (lost) => {
      const left = new Array<number>(columns).fill(copies);
      return lost.every((position) => --left[Math.floor(position / copies)]! > 0);
    },
  };
}
