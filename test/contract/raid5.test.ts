import { raidContract } from "./raid-level.ts";

raidContract(
  "RAID-5",
  [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].map((dataDrives) => ({ level: 5, dataDrives })),
);
