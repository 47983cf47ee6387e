/**
 * The label of a LevelDB drive: who it is and how its zones are made. Written once, last, when the drive is formatted.
 */
import { DriveError, type DriveGeometry } from "./drive.ts";
import { checkGeometry, DRIVE_FORMAT_VERSION } from "./drive-checks.ts";

export interface DriveLabel {
  readonly formatVersion: number;
  readonly name: string;
  readonly driveId: string;
  readonly geometry: DriveGeometry;
}

export function encodeLabel(label: DriveLabel): Uint8Array {
  return Buffer.from(JSON.stringify(label), "utf8");
}

/** @throws DriveError "foreign" for anything that this version did not write */
export function decodeLabel(drive: string, bytes: Uint8Array | undefined): DriveLabel {
  if (bytes === undefined) throw new DriveError("foreign", drive, "has no label");
  let found: Partial<DriveLabel> | null;
  try {
    found = JSON.parse(Buffer.from(bytes).toString("utf8")) as Partial<DriveLabel> | null;
  } catch (cause) {
    throw new DriveError("foreign", drive, "its label can't be read", { cause });
  }
  if (typeof found !== "object" || found === null) throw new DriveError("foreign", drive, "its label can't be read");
  if (found.formatVersion !== DRIVE_FORMAT_VERSION) {
    throw new DriveError("foreign", drive, `has format version ${found.formatVersion}, this array knows ${DRIVE_FORMAT_VERSION}`);
  }
  const { name, driveId, geometry } = found;
  if (typeof name !== "string" || typeof driveId !== "string" || typeof geometry !== "object" || geometry === null) {
    throw new DriveError("foreign", drive, "its label is incomplete");
  }
  try {
    checkGeometry(drive, geometry);
  } catch (cause) {
    throw new DriveError("foreign", drive, "its label has an impossible geometry", { cause });
  }
  return { formatVersion: found.formatVersion, name, driveId, geometry };
}
