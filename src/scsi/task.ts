/**
 * One SCSI command between its transport and its logical unit.
 *
 * The transport (iSCSI session, or the channel from another director) fills in the request half and submits it to a
 * LogicalUnitServer; that fills in the response half and calls `onComplete` exactly once, perhaps before `submit` returns.
 * After the data was sent the transport calls `release()`, which unpins what the response refers to.
 * Tasks are pooled and used again: nobody keeps one after release.
 */

/** I_T nexus, unique in the array: director index × 65536 + TSIH. */
export type NexusNumber = number;

/** The director at whose portal a nexus is. */
export function directorOfNexus(nexus: NexusNumber): number {
  return Math.floor(nexus / 65536);
}

/** SAM-6 §5.3.1. */
export const STATUS = {
  GOOD: 0x00,
  CHECK_CONDITION: 0x02,
  CONDITION_MET: 0x04,
  BUSY: 0x08,
  RESERVATION_CONFLICT: 0x18,
  TASK_SET_FULL: 0x28,
  ACA_ACTIVE: 0x30,
  TASK_ABORTED: 0x40,
} as const;

/** Fixed-format sense data as this target sends it: 18 bytes (SPC-5 §4.4.3). */
export const SENSE_BYTES_MAX = 32;

/** RFC 7143 §11.3.1 ATTR. */
export const TASK_ATTRIBUTE = { untagged: 0, simple: 1, ordered: 2, headOfQueue: 3, aca: 4 } as const;

/**
 * A run of bytes that lies in frames of global memory: `bytes` bytes starting `phase` bytes into the first frame, the
 * frames being 4096 bytes each, in the order of `frames`. With `phase = byte offset on the volume % 4096`, each frame
 * is one block of the volume.
 */
export interface FrameRun {
  frames: Int32Array;
  frameCount: number;
  phase: number;
  bytes: number;
}

export class ScsiTask {
  // — request —
  nexus: NexusNumber = 0;
  /** Eight-byte LUN as it came (SAM-6 §4.7), first two bytes decoded: 0 … 16383, or −1 when not addressable. */
  lun = 0;
  /** The volume that the LUN maps to; set by the Target (src/scsi/target.ts), not by the transport. */
  volume = 0;
  initiatorTaskTag = 0;
  attribute: number = TASK_ATTRIBUTE.simple;
  readonly cdb = new Uint8Array(16);
  /** Write direction: RESERVED frames of the submitting director's pool, filled by the transport; the server takes them over. */
  readonly dataOut: FrameRun = { frames: new Int32Array(64), frameCount: 0, phase: 0, bytes: 0 };
  /** Read and write flags of the transport's command: checked against the CDB's direction. */
  readFlag = false;
  writeFlag = false;
  /**
   * Bytes that the initiator announced (iSCSI Expected Data Transfer Length), or −1 when the transport has no such thing.
   * WRITE SAME refuses a Data-Out buffer that is not one block, and a write whose data was never collected is told from a short one.
   */
  expectedTransferBytes = -1;
  /** The host sent the last of it no earlier than this, in microseconds of the time base. 0: not known. */
  arrivedMicroseconds = 0;
  /**
   * Asked by another director: the request's number, which that director gives once in an epoch, and 16 bits of the epoch.
   * They go into the journal, so that a repeat is known (architecture invariant 9). 0: asked here.
   */
  request = 0;
  requesterEpoch = 0;
  /** It was sent to an owner that died, and may have been executed: `request` and `requesterEpoch` are what it was sent as. */
  repeat = false;
  /** … and it is known that it was executed. */
  executed = false;
  /** Since when it waits for an owner, in microseconds of the time base. 0: it never did. The Target's. */
  heldSinceMicroseconds = 0;

  // — response —
  status: number = STATUS.GOOD;
  readonly sense = new Uint8Array(SENSE_BYTES_MAX);
  senseBytes = 0;
  /** Read direction, either frames … */
  readonly dataIn: FrameRun = { frames: new Int32Array(64), frameCount: 0, phase: 0, bytes: 0 };
  /** … or a small answer built on the spot (INQUIRY and alike). */
  inlineDataIn: Uint8Array | undefined = undefined;
  /** Bytes that the command itself would transfer (in or out), whatever the transport expected: for the residual count. */
  transferBytes = 0;

  // — plumbing —
  /** Set by the transport once, when the task is made. */
  onComplete: (task: ScsiTask) => void;
  /** Set by the server when the response refers to memory that must be given back. */
  onRelease: ((task: ScsiTask) => void) | undefined = undefined;
  /**
   * Called instead of `onComplete` when the unit is not at that server any more: the task is untouched, data-out and all, and
   * goes to whoever has it now. Absent: it ends BUSY.
   */
  onMoved: ((task: ScsiTask) => void) | undefined = undefined;
  /** The server's own bookkeeping for this task. */
  serverContext: unknown = undefined;

  constructor(onComplete: (task: ScsiTask) => void) {
    this.onComplete = onComplete;
  }

  /** Nobody waits for it any more, and its host may have repeated it elsewhere: it must not change anything from now on. */
  get revoked(): boolean {
    return false;
  }

  release(): void {
    const onRelease = this.onRelease;
    if (onRelease !== undefined) {
      this.onRelease = undefined;
      onRelease(this);
    }
  }
}

/** Makes room for `count` frames in a run; keeps what is there. */
export function growFrameRun(run: FrameRun, count: number): void {
  if (run.frames.length >= count) return;
  const grown = new Int32Array(2 ** Math.ceil(Math.log2(count)));
  grown.set(run.frames);
  run.frames = grown;
}

/** In how many stretches, neighbours in memory, the frames [first, end) of a run lie; at least one. */
export function stretchesIn(run: FrameRun, first: number, end: number): number {
  const { frames } = run;
  let stretches = 1;
  for (let n = first + 1; n < end; n++) if (frames[n] !== frames[n - 1]! + 1) stretches += 1;
  return stretches;
}

/** `moved`: it was not done, as the unit has no owner now, or another one. */
export type ResetDone = (exists: boolean, moved?: boolean) => void;

export interface NexusInfo {
  readonly nexus: NexusNumber;
  readonly initiatorName: string;
  /** Hexadecimal, 12 digits. */
  readonly isid: string;
  readonly directorIndex: number;
}

/** How many bytes a command will take from the host, and how they lie in blocks. */
export interface DataOutPlan {
  /** 0 when the CDB takes no data or is not one that we know. */
  bytes: number;
  /** Byte offset on the volume % 4096, for commands that write blocks; else 0. */
  phase: number;
}

/**
 * Serves logical units to transports. On the owner's thread it is the target itself; for volumes of another director
 * it is the channel to that director.
 */
export interface LogicalUnitServer {
  /** Tells the transport what data to collect before `submit`. Looks at the CDB only; never fails. */
  planDataOut(lun: number, cdb: Uint8Array, plan: DataOutPlan): void;
  submit(task: ScsiTask): void;
  /**
   * LOGICAL UNIT RESET: waits until every command in the unit's task set has ended, drops reservations, and raises unit
   * attention 29/03 for all nexuses. `done(false)`: there is no such LUN; `done(true, true)`: nothing was done, as the unit is
   * not at that server any more.
   */
  resetLogicalUnit(nexus: NexusNumber, lun: number, done: ResetDone): void;
  /** The task's director is dead and nobody waits for it: what of it has not begun, need not. It completes all the same. */
  abandon?(task: ScsiTask): void;
  nexusOpened(info: NexusInfo): void;
  /** I_T nexus loss: reservations and unit attentions of it go. */
  nexusClosed(nexus: NexusNumber): void;
}
