import { memoryFixture } from "../support/drive-fixtures.ts";
import { driveContract } from "./drive.ts";

driveContract("MemoryDrive", () => memoryFixture());
