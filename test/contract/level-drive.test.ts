import { levelFixture } from "../support/drive-fixtures.ts";
import { driveContract } from "./drive.ts";

driveContract("LevelDrive", () => levelFixture());
