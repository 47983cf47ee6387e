/**
 * What main and a pool's drive thread post to each other: the setup path. I/O goes over rings (drive-slots.ts).
 *
 * Main starts `drive.worker.js` with `workerData: DriveThreadStart`; the thread answers "ready" when every drive was
 * tried. A drive that can't be opened does not keep the thread from serving the others: requests for it fail with the
 * kind that its opening failed with, and "openDrive" tries it again.
 */
import type { GlobalMemoryTransfer } from "../shared-memory/global-memory.ts";
import type { DriveErrorKind, DriveGeometry, DriveIdentity } from "./drive.ts";
import type { DriveFaultSettings } from "./fault-drive.ts";

export interface DriveThreadDrive {
  /** Place in the pool: what requests name. */
  readonly driveIndex: number;
  /** Number among the drives of all pools: the counter block. */
  readonly driveNumber: number;
  readonly name: string;
  readonly folder: string;
  /** Formats the folder first, if it holds no drive. Only for a new pool and for a new drive: never for one that is known. */
  readonly format?: { readonly driveId: string; readonly geometry: DriveGeometry };
}

export interface DriveThreadStart {
  readonly transfer: GlobalMemoryTransfer;
  readonly pool: number;
  readonly drives: readonly DriveThreadDrive[];
}

export type DriveState =
  | { readonly driveIndex: number; readonly name: string; readonly state: "open"; readonly identity: DriveIdentity }
  | {
      readonly driveIndex: number;
      readonly name: string;
      readonly state: "failed";
      readonly kind: DriveErrorKind;
      readonly message: string;
    };

export type ToDriveThread =
  /** Opens (or formats) a drive at its place; closes what was there. Answered by "drive". */
  | { readonly type: "openDrive"; readonly drive: DriveThreadDrive }
  /** Closes a drive: requests for it are "unreachable" from then on. Answered by "drive". */
  | { readonly type: "closeDrive"; readonly driveIndex: number }
  /** Faults on command, for tests and for operators who test; undefined takes them away. Answered by "faultsSet". */
  | { readonly type: "setFaults"; readonly driveIndex: number; readonly faults: DriveFaultSettings | undefined }
  /** Ends the thread once what is under way has ended. Answered by "stopped". */
  | { readonly type: "stop" };

export type FromDriveThread =
  | { readonly type: "ready"; readonly drives: readonly DriveState[] }
  | { readonly type: "drive"; readonly drive: DriveState }
  | { readonly type: "faultsSet"; readonly driveIndex: number }
  | { readonly type: "stopped" };
