import { raidContract } from "./raid-level.ts";

raidContract(
  "RAID-10",
  [2, 3, 4, 5, 6, 7, 8].map((dataDrives) => ({ level: 10, dataDrives })),
);
