import { remoteFixture } from "../support/drive-fixtures.ts";
import { driveContract } from "./drive.ts";

driveContract("RemoteDrive over a drive thread", () => remoteFixture());
