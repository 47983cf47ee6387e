/** The RAID levels that there are. */

import type { RaidLevel, RaidShape } from "./raid-level.ts";
import { raid5 } from "./raid5.ts";

/** @throws RangeError for a shape that the level does not have */
export function raidLevel(shape: RaidShape): RaidLevel {
  const { level = 5, dataDrives } = shape;
  if (level === 5) return raid5(dataDrives);
  throw new RangeError(`there is no RAID-${level}`);
}
