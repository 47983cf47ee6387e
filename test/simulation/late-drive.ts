/**
 * What drivers/drive/drive-channel.ts adds to a drive, in virtual time: who asks is told "unknown" at a deadline, and the drive
 * may do the operation later, with the memory that it names.
 *
 * Invariants:
 *  1. A read that is late says when it has let go of its memory (DriveError.landed).
 *  2. What a metadata batch holds is what it held when it was asked for: values cross in the mailbox.
 */
import {
  type Drive,
  DriveError,
  type DriveIdentity,
  type MetadataOperation,
  type MetadataPage,
  type MetadataRange,
  type PartsRead,
  type StripRead,
  type StripWrite,
  type ZoneNumber,
  type ZoneStat,
} from "../../drivers/drive/drive.ts";
import type { Engine, Life } from "./engine.ts";

/** The array's own is 20 s. A life of the simulation is shorter, and nothing in the array knows the number. */
const DEADLINE_MILLISECONDS = 12_000;

export class LateDrive implements Drive {
  readonly name: string;
  readonly #drive: Drive;
  readonly #engine: Engine;
  readonly #life: Life;
  /** Requests without an answer: who is told "unknown" has one. */
  inFlight = 0;

  constructor(drive: Drive, engine: Engine, life: Life) {
    this.name = drive.name;
    this.#drive = drive;
    this.#engine = engine;
    this.#life = life;
  }

  identify(): Promise<DriveIdentity> {
    return this.#inTime(this.#drive.identify());
  }

  open(epoch: number): Promise<void> {
    return this.#inTime(this.#drive.open(epoch));
  }

  close(): Promise<void> {
    return this.#drive.close();
  }

  listZones(): Promise<readonly ZoneStat[]> {
    return this.#inTime(this.#drive.listZones());
  }

  createZone(zone: ZoneNumber): Promise<void> {
    return this.#inTime(this.#drive.createZone(zone));
  }

  finishZone(zone: ZoneNumber): Promise<void> {
    return this.#inTime(this.#drive.finishZone(zone));
  }

  resetZone(zone: ZoneNumber): Promise<void> {
    return this.#inTime(this.#drive.resetZone(zone));
  }

  forgetZones(): Promise<void> {
    return this.#inTime(this.#drive.forgetZones());
  }

  writeStrips(write: StripWrite): Promise<void> {
    return this.#inTime(this.#drive.writeStrips(write));
  }

  readStrips(read: StripRead): Promise<void> {
    return this.#inTime(this.#drive.readStrips(read));
  }

  readParts(read: PartsRead): Promise<void> {
    return this.#inTime(this.#drive.readParts(read));
  }

  metadataGet(key: string): Promise<Uint8Array | undefined> {
    return this.#inTime(this.#drive.metadataGet(key));
  }

  metadataBatch(operations: readonly MetadataOperation[]): Promise<void> {
    const copies = operations.map((operation) =>
      operation.type === "put" ? { ...operation, value: operation.value.slice() } : operation,
    );
    return this.#inTime(this.#drive.metadataBatch(copies));
  }

  metadataScan(range: MetadataRange): Promise<MetadataPage> {
    return this.#inTime(this.#drive.metadataScan(range));
  }

  flush(): Promise<void> {
    return this.#inTime(this.#drive.flush());
  }

  #inTime<T>(operation: Promise<T>): Promise<T> {
    this.inFlight += 1;
    return new Promise<T>((resolve, reject) => {
      let landed: (() => void) | undefined;
      const answer = (tell: () => void): void => {
        this.inFlight -= 1;
        tell();
      };
      const deadline = this.#engine.after(DEADLINE_MILLISECONDS, this.#life, () => {
        const error = new DriveError("unknown", this.name, "no answer by the deadline");
        error.landed = new Promise((done) => {
          landed = done;
        });
        answer(() => reject(error));
      });
      const end = (tell: () => void): void => {
        if (landed !== undefined) {
          landed();
          return;
        }
        this.#engine.cancel(deadline);
        answer(tell);
      };
      operation.then(
        (value) => end(() => resolve(value)),
        (error: unknown) => end(() => reject(error as Error)),
      );
    });
  }
}
