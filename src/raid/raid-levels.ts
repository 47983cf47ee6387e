/** The RAID levels that there are. */
import { raid1, raid10 } from "./mirror-levels.ts";
import { raid5, raid6 } from "./parity-levels.ts";
import type { RaidLevel, RaidShape } from "./raid-level.ts";

/** @throws RangeError for a shape that the level does not have */
export function raidLevel(shape: RaidShape): RaidLevel {
  const { level = 5, dataDrives } = shape;
  const mirrored = level === 1 || level === 10;
  const { copies = mirrored ? 2 : 1 } = shape;
  if (level !== 1 && copies !== (mirrored ? 2 : 1)) throw new RangeError(`RAID-${level} has no ${copies} copies`);
  switch (level) {
    case 1:
      if (dataDrives !== 1) throw new RangeError(`RAID-1 has 1 data drive, not ${dataDrives}`);
      return raid1(copies);
    case 5:
      return raid5(dataDrives);
    case 6:
      return raid6(dataDrives);
    case 10:
      return raid10(dataDrives);
    default:
      throw new RangeError(`there is no RAID-${level satisfies never}`);
  }
}

/** As people know it, also one of a later program. */
export function raidLabel(shape: RaidShape): string {
  try {
    return raidLevel(shape).label;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return `RAID-${shape.level} of ${shape.dataDrives} data drives (${error.message})`;
  }
}
