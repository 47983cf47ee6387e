/**
 * What people ask of the drives themselves (faults on command, pull, insert, replace), handed on to the drives' threads; and what
 * those threads notice by themselves, told to people.
 *
 * Runs on: main. Nothing here waits for long: a thread that does not answer leaves the asker to its own deadline.
 * Invariant: what was done to a drive and not undone is in the conditions that the control plane shows.
 */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { DriveState, DriveThreadDrive, FromDriveThread, ToDriveThread } from "../drivers/drive/drive-thread-messages.ts";
import type { DriveAnswer, DriveCommand, DriveCondition, FaultyDrive, MainToControl } from "../src/control/contract.ts";
import type { PoolThreads } from "./pool-threads.ts";

/** A thread that says nothing for so long is not listened for any more. */
const ANSWER_MILLISECONDS_MAX = 60_000;

type FaultsSet = Extract<FromDriveThread, { type: "faultsSet" }>;
type DriveAnswered = Extract<FromDriveThread, { type: "drive" }>;

interface Slot {
  readonly pool: PoolThreads;
  readonly drive: DriveThreadDrive;
}

class Refused extends Error {
  readonly code: Extract<DriveAnswer, { ok: false }>["code"];
  constructor(code: Refused["code"], message: string) {
    super(message);
    this.code = code;
  }
}

export class DriveControl {
  readonly #pools: readonly PoolThreads[];
  readonly #tell: (message: MainToControl) => void;
  readonly #conditions = new Map<string, DriveCondition>();
  /** Names of drives that their threads don't serve. */
  readonly #closed = new Set<string>();

  constructor(pools: readonly PoolThreads[], tell: (message: MainToControl) => void) {
    this.#pools = pools;
    this.#tell = tell;
    for (const pool of pools) {
      for (const { name, state } of pool.states) if (state !== "open") this.#closed.add(name);
      pool.driveThread.onMessage((message) => {
        if (message.type === "driveGone") this.#gone(pool, message.drive);
      });
      pool.driveThread.raise = (event) => tell({ kind: "event", event });
      pool.driveThread.onRestarted(() => this.#restarted(pool));
    }
  }

  /** Answers one command of the control plane. */
  async command(id: number, command: DriveCommand): Promise<void> {
    let answer: DriveAnswer;
    try {
      answer = { ok: true, value: await this.#do(command) };
    } catch (error) {
      const { message } = error as Error;
      answer = { ok: false, code: error instanceof Refused ? error.code : "failed", message };
    }
    this.#tell({ kind: "driveAnswer", id, answer });
  }

  async #do(command: DriveCommand): Promise<unknown> {
    switch (command.kind) {
      case "faults":
        return (await Promise.all(this.#pools.map((pool) => this.#faultsOf(pool)))).flat();
      case "setFaults":
        return this.#setFaults(this.#slot(command.drive), command.faults);
      case "pull":
        return this.#pull(this.#slot(command.drive));
      case "insert":
        return this.#insert(this.#slot(command.drive));
      case "replace":
        return this.#replace(this.#slot(command.drive), command.erasable);
      case "throw":
        return this.#pools.find(({ pool }) => pool.index === command.pool)?.driveThread.post({ type: "throw" });
    }
  }

  async #faultsOf(pool: PoolThreads): Promise<FaultyDrive[]> {
    const answer = await this.#ask(pool, { type: "faults" }, (message) => message.type === "faults");
    return answer.drives
      .filter(({ rules }) => rules.length > 0)
      .map(({ name, rules }) => ({ drive: name, pool: pool.pool.index, rules }));
  }

  async #setFaults({ pool, drive }: Slot, faults: Extract<DriveCommand, { kind: "setFaults" }>["faults"]): Promise<void> {
    const { driveIndex, name } = drive;
    const answer = await this.#ask(
      pool,
      { type: "setFaults", driveIndex, faults },
      (message): message is FaultsSet => message.type === "faultsSet" && message.driveIndex === driveIndex,
    );
    if (!answer.open) throw new Refused("conflict", `drive ${name} is not open: it can't be given faults`);
    this.#note({ pool, drive }, { faultRules: faults?.rules.length ?? 0 });
  }

  async #pull({ pool, drive }: Slot): Promise<void> {
    const { driveIndex } = drive;
    if (this.#conditions.get(drive.name)?.pulled === true) throw new Refused("conflict", `drive ${drive.name} is pulled already`);
    await this.#ask(pool, { type: "closeDrive", driveIndex }, (message) => isOf(message, driveIndex));
    this.#closed.add(drive.name);
    this.#note({ pool, drive }, { pulled: true, faultRules: 0 });
  }

  async #insert({ pool, drive }: Slot): Promise<void> {
    const { driveIndex, name } = drive;
    if (!this.#closed.has(name)) throw new Refused("conflict", `drive ${name} is in its slot already`);
    // Never formatted here: what is in the slot is a drive, or is refused.
    const { format: _, ...known } = drive;
    const answer = await this.#ask(pool, { type: "openDrive", drive: known }, (message) => isOf(message, driveIndex));
    this.#note({ pool, drive }, { pulled: false, faultRules: 0 });
    if (answer.drive.state === "failed") throw new Refused("conflict", answer.drive.message);
    this.#closed.delete(name);
  }

  /**
   * A new, empty drive. The pool's owner has said which may go; what is found there is asked who it is all the same, as
   * people may have put something else there. Cut off on the way it leaves no drive, and is done again.
   */
  async #replace({ pool, drive }: Slot, erasable: readonly string[]): Promise<void> {
    const { driveIndex, name, folder } = drive;
    const { format: _, ...known } = drive;
    const isOurs = (message: FromDriveThread): message is DriveAnswered => isOf(message, driveIndex);
    const found = await this.#ask(pool, { type: "openDrive", drive: known }, isOurs);
    await this.#ask(pool, { type: "closeDrive", driveIndex }, isOurs);
    this.#closed.add(name);
    const why = whyNotErase(found.drive, folder, erasable);
    if (why !== undefined) throw new Refused("conflict", `drive ${name} is not formatted: ${why}`);
    eraseDrive(folder);
    const format = pool.newFormat();
    const made = await this.#ask(pool, { type: "openDrive", drive: { ...known, format } }, isOurs);
    if (made.drive.state === "failed") throw new Refused("failed", made.drive.message);
    pool.drivePlaced(made.drive);
    this.#closed.delete(name);
    this.#note({ pool, drive }, { pulled: false, faultRules: 0 });
  }

  /** The thread had to close a drive: the pool's owner finds it unreachable, and people hear why. */
  #gone(pool: PoolThreads, state: DriveState): void {
    const drive = pool.drives.find(({ driveIndex }) => driveIndex === state.driveIndex);
    if (drive === undefined || state.state !== "failed") return;
    this.#closed.add(drive.name);
    this.#note({ pool, drive }, { faultRules: 0 });
    this.#tell({
      kind: "event",
      event: {
        time: new Date().toISOString(),
        severity: "critical",
        type: "drive.gone",
        subject: `drive ${state.name}`,
        message: `drive ${state.name} of pool ${pool.pool.name} was taken out of service: ${state.message}`,
      },
    });
  }

  /** Faults on command went with the thread; a drive that was pulled stays so. */
  #restarted(pool: PoolThreads): void {
    for (const drive of pool.drives) {
      const condition = this.#conditions.get(drive.name);
      if (condition === undefined) continue;
      if (condition.pulled) pool.driveThread.post({ type: "closeDrive", driveIndex: drive.driveIndex });
      this.#note({ pool, drive }, { faultRules: 0 });
    }
  }

  #note({ pool, drive }: Slot, change: Partial<DriveCondition>): void {
    const before = this.#conditions.get(drive.name) ?? { drive: drive.name, pool: pool.pool.index, pulled: false, faultRules: 0 };
    const after = { ...before, ...change };
    if (after.pulled || after.faultRules > 0) this.#conditions.set(drive.name, after);
    else this.#conditions.delete(drive.name);
    this.#tell({ kind: "driveConditions", conditions: [...this.#conditions.values()] });
  }

  #slot(name: string): Slot {
    for (const pool of this.#pools) {
      const drive = pool.drives.find((one) => one.name === name);
      if (drive !== undefined) return { pool, drive };
    }
    const names = this.#pools.flatMap(({ drives }) => drives.map((drive) => drive.name));
    throw new Refused("notFound", `there is no drive "${name}"; there are ${names.join(", ")}`);
  }

  async #ask<Answer extends FromDriveThread>(
    pool: PoolThreads,
    message: ToDriveThread,
    select: (answer: FromDriveThread) => answer is Answer,
  ): Promise<Answer> {
    let late: NodeJS.Timeout | undefined;
    const name = `the drives' thread of pool ${pool.pool.name}`;
    const silence = new Promise<never>((_, reject) => {
      late = setTimeout(() => reject(new Refused("failed", `${name} does not answer`)), ANSWER_MILLISECONDS_MAX);
    });
    try {
      const answer = await Promise.race([pool.driveThread.ask(message, select), silence]);
      if (answer === undefined) throw new Refused("failed", `${name} ended before it answered`);
      return answer;
    } finally {
      clearTimeout(late);
    }
  }
}

/** Why what was found in a drive's folder is to stay. */
function whyNotErase(found: DriveState, folder: string, erasable: readonly string[]): string | undefined {
  if (found.state === "open") {
    const { driveId } = found.identity;
    return erasable.includes(driveId)
      ? undefined
      : `its folder holds drive ${driveId}, which the pool does not know as one to be replaced`;
  }
  // One that is damaged can't say who it is; one that says so, and is not of here, is somebody's.
  return existsSync(join(folder, "meta")) && found.kind === "foreign" ? found.message : undefined;
}

/** Its metadata first: what is left of it, if this is cut off, is no drive. Anything else in the folder stays, and is refused. */
function eraseDrive(folder: string): void {
  for (const part of ["meta", "meta.new", "zones"]) rmSync(join(folder, part), { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
}

function isOf(message: FromDriveThread, driveIndex: number): message is DriveAnswered {
  return message.type === "drive" && message.drive.driveIndex === driveIndex;
}
