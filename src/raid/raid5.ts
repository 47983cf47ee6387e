/** RAID-5, left-symmetric: parity moves one drive to the left with each stripe, data follow it round. */
import { type RaidLevel, ROLE_P } from "./raid-level.ts";

const DATA_DRIVES_MIN = 2;
const DATA_DRIVES_MAX = 15;

export function raid5(dataDrives: number): RaidLevel {
  if (dataDrives < DATA_DRIVES_MIN || dataDrives > DATA_DRIVES_MAX)
    throw new RangeError(`RAID-5 has ${DATA_DRIVES_MIN} to ${DATA_DRIVES_MAX} data drives, not ${dataDrives}`);
  const driveCount = dataDrives + 1;
  const parityPosition = (stripe: number): number => driveCount - 1 - (stripe % driveCount);
  return {
    config: { level: 5, dataDrives, copies: 1 },
    label: `RAID-5 ${dataDrives}+1`,
    driveCount,
    dataColumns: dataDrives,
    copies: 1,
    parities: 1,
    tolerance: 1,
    // One place to the right of the parity is column 0: ROLE_P is what lies before it.
    role: (stripe, position) => ((position - parityPosition(stripe) + driveCount) % driveCount) + ROLE_P,
    positionOf: (stripe, role) => (parityPosition(stripe) + role - ROLE_P) % driveCount,
    survives: (lost) => lost.length <= 1,
  };
}
