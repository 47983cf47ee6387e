/**
 * RAID-5 and RAID-6, left-symmetric: parity moves one drive to the left with each stripe, data follow it round.
 *
 *   RAID-5 3+1   stripe 0: 0 1 2 P      RAID-6 2+2   stripe 0: 0 1 Q P      in the order of positions
 *                stripe 1: 1 2 P 0                   stripe 1: 1 Q P 0
 *                stripe 2: 2 P 0 1                   stripe 2: Q P 0 1
 */
import { type RaidLevel, ROLE_P, rolesOf } from "./raid-level.ts";

const DRIVES_MAX = 16;
const DATA_DRIVES_MIN = 2;

export const raid5 = (dataDrives: number): RaidLevel => parityLevel(5, dataDrives, 1);
export const raid6 = (dataDrives: number): RaidLevel => parityLevel(6, dataDrives, 2);

function parityLevel(level: 5 | 6, dataDrives: number, parities: 1 | 2): RaidLevel {
  const driveCount = dataDrives + parities;
  if (dataDrives < DATA_DRIVES_MIN || driveCount > DRIVES_MAX)
    throw new RangeError(`RAID-${level} has ${DATA_DRIVES_MIN} to ${DRIVES_MAX - parities} data drives, not ${dataDrives}`);
  const positionOfP = (stripe: number): number => driveCount - 1 - (stripe % driveCount);
  // To the right of P are the columns, and, as the drives stand in a ring, the other parity comes after them.
  const ring = (distance: number): number => (distance + driveCount) % driveCount;
  return {
    config: { level, dataDrives, copies: 1 },
    label: `RAID-${level} ${dataDrives}+${parities}`,
    driveCount,
    dataColumns: dataDrives,
    copies: 1,
    parities,
    roles: rolesOf(dataDrives, parities),
    tolerance: parities,
    role: (stripe, position) => {
      const distance = ring(position - positionOfP(stripe));
      return distance > dataDrives ? distance - driveCount + ROLE_P : distance + ROLE_P;
    },
    positionOf: (stripe, role) => ring(positionOfP(stripe) + role - ROLE_P),
    survives: (lost) => lost.length <= parities,
  };
}
