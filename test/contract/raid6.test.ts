import { raidContract } from "./raid-level.ts";

raidContract(
  "RAID-6",
  [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14].map((dataDrives) => ({ level: 6, dataDrives })),
);
