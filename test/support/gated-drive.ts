/** A drive whose operations of one kind wait until they are let go: to hold the array in the middle of something. */
import { type Drive, DriveError } from "../../drivers/drive/drive.ts";

export type DriveOperation = Exclude<keyof Drive, "name">;

export class DriveGate {
  /** Operations that must wait now, and those that do. */
  readonly #closed = new Map<DriveOperation, (() => void)[]>();

  waiting(operation: DriveOperation): number {
    return this.#closed.get(operation)?.length ?? 0;
  }

  close(...operations: DriveOperation[]): void {
    for (const operation of operations) this.#closed.set(operation, []);
  }

  open(...operations: DriveOperation[]): void {
    for (const operation of operations) {
      const waiting = this.#closed.get(operation) ?? [];
      this.#closed.delete(operation);
      for (const go of waiting) go();
    }
  }

  /** Lets those go that wait now; the gate stays closed. */
  letThrough(operation: DriveOperation): void {
    for (const go of this.#closed.get(operation)?.splice(0) ?? []) go();
  }

  wrap(drive: Drive): Drive {
    return interceptDrive(drive, async (operation, _parameters, run) => {
      const waiting = this.#closed.get(operation);
      if (waiting !== undefined) await new Promise<void>((resolve) => waiting.push(resolve));
      return run();
    });
  }
}

/** Calls `around` for every operation of the drive; `run` does it. */
export function interceptDrive(
  drive: Drive,
  around: (operation: DriveOperation, parameters: readonly unknown[], run: () => Promise<unknown>) => Promise<unknown>,
): Drive {
  return new Proxy(drive, {
    get: (target, property) => {
      const value = Reflect.get(target, property) as unknown;
      if (typeof value !== "function") return value;
      return (...parameters: unknown[]): Promise<unknown> =>
        around(property as DriveOperation, parameters, () =>
          (value as (...given: unknown[]) => Promise<unknown>).apply(target, parameters),
        );
    },
  });
}

/** Lets everything that can go on go on. */
export async function turns(count = 20): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setImmediate(resolve));
}

/** Where timers are waited for, a loop that idles makes many turns in no time: so long at least. */
const UNTIL_MILLISECONDS_LEAST = 10_000;

/** Waits until `condition` holds; fails when it does not come true within many turns, and within seconds. */
export async function until(condition: () => boolean, turnsMax = 20_000): Promise<void> {
  const began = performance.now();
  for (let n = 0; !condition(); n++) {
    if (n > turnsMax && performance.now() - began > UNTIL_MILLISECONDS_LEAST)
      throw new Error(`not within ${turnsMax} turns: ${condition.toString()}`);
    await turns(1);
  }
}

/** What a read is told whose drive did not answer in time, and `land`, by which the drive ends after all. */
export function lateAnswer(drive: string): { readonly error: DriveError; readonly land: () => void } {
  const error = new DriveError("unknown", drive, "no answer by the deadline");
  let land!: () => void;
  error.landed = new Promise((resolve) => {
    land = resolve;
  });
  return { error, land };
}
