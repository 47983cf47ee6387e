import { raidContract } from "./raid-level.ts";

raidContract("RAID-1, 2-way", [{ level: 1, dataDrives: 1, copies: 2 }]);
raidContract("RAID-1, 3-way", [{ level: 1, dataDrives: 1, copies: 3 }]);
