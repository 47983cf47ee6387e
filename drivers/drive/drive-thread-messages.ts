/**
 * What main and a pool's drive thread post to each other: the setup path. I/O goes over rings (drive-slots.ts).
 *
 * Main starts `drive.worker.js` with `workerData: DriveThreadStart`; the thread answers "ready" when every drive was
 * tried. A drive that can't be opened does not keep the thread from serving the others: requests for it fail with the
 * kind that its opening failed with, and "openDrive" tries it again.
 */
import type { GlobalMemoryTransfer } from "../shared-memory/global-memory.ts";
import type { DriveErrorKind, DriveGeometry, DriveIdentity } from "./drive.ts";
import type { DriveFaultSettings, FaultRuleStatus } from "./drive-faults.ts";

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
  /** What became of the faults of every drive. Answered by "faults". */
  | { readonly type: "faults" }
  /** A director is dead and its epoch fenced. Answered by "quiet", when no request of it is left here. */
  | { readonly type: "quiet"; readonly director: number }
  /** The thread throws, and nobody catches: a fault on command. */
  | { readonly type: "throw" }
  /** Ends the thread once what is under way has ended. Answered by "stopped". */
  | { readonly type: "stop" };

export interface DriveFaultsStatus {
  readonly driveIndex: number;
  readonly name: string;
  readonly rules: readonly FaultRuleStatus[];
}

export type FromDriveThread =
  | { readonly type: "ready"; readonly drives: readonly DriveState[] }
  | { readonly type: "drive"; readonly drive: DriveState }
  /** Unasked: a drive that was open can't be served any more. */
  | { readonly type: "driveGone"; readonly drive: DriveState }
  | { readonly type: "faults"; readonly drives: readonly DriveFaultsStatus[] }
  | { readonly type: "faultsSet"; readonly driveIndex: number; readonly open: boolean }
  | { readonly type: "quiet"; readonly director: number }
  | { readonly type: "stopped" };
