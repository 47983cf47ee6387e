import { expect, test } from "vitest";
import { type DriveThread, DriveThreadKeeper } from "../../../directors/drive-thread-keeper.ts";
import type { DriveState, DriveThreadDrive, FromDriveThread } from "../../../drivers/drive/drive-thread-messages.ts";
import { testGlobalMemory } from "../../support/drive-fixtures.ts";
import { turns } from "../../support/gated-drive.ts";

const DRIVE: DriveThreadDrive = { driveIndex: 0, driveNumber: 0, name: "00", folder: "/drives/00" };
const BLANK: DriveThreadDrive = {
  ...DRIVE,
  format: { driveId: "id", geometry: { capacityBytes: 1, stripBytes: 1, stripsPerZone: 1, zoneCount: 1 } },
};
const TRIED: readonly DriveState[] = [{ driveIndex: 0, name: "00", state: "failed", kind: "unreachable", message: "no" }];

/** Threads that do what the test says: `say` posts to main, `end` is the thread's own end. */
class FakeThreads {
  readonly started: {
    readonly drives: readonly DriveThreadDrive[];
    readonly say: (message: FromDriveThread) => void;
    readonly end: (reason: string) => void;
  }[] = [];
  readonly fatal: string[] = [];
  readonly keeper = new DriveThreadKeeper({
    pool: { name: "A", index: 0 },
    global: testGlobalMemory().global,
    drives: [BLANK],
    start: (drives, onEnd) => this.#start(drives, onEnd),
    threads: [],
    onFatal: (_thread, reason) => this.fatal.push(reason),
    nowMilliseconds: () => 0,
  });

  #start(drives: readonly DriveThreadDrive[], onEnd: (reason: string) => void): DriveThread {
    const listeners: ((message: FromDriveThread) => void)[] = [];
    const say = (message: FromDriveThread): void => {
      for (const listener of [...listeners]) listener(message);
    };
    this.started.push({ drives, say, end: onEnd });
    const thread = {
      name: "drives of pool A",
      running: true,
      onMessage: (listener: (message: FromDriveThread) => void) => listeners.push(listener),
      next: (select: (message: FromDriveThread) => boolean) =>
        new Promise((resolve) => listeners.push((message) => select(message) && resolve(message))),
    };
    return thread as unknown as DriveThread;
  }

  /** What `ready` has resolved with by now. */
  async readyNow(): Promise<readonly DriveState[] | undefined> {
    let drives: readonly DriveState[] | undefined;
    void this.keeper.ready().then((found) => {
      drives = found;
    });
    await turns();
    return drives;
  }
}

test("a thread that ends before it was ready is followed by one that does what it was to do", async () => {
  const threads = new FakeThreads();
  const asked = threads.keeper.ready();
  threads.started[0]!.end("out of memory");
  expect(threads.started.map(({ drives }) => drives)).toEqual([[BLANK], [BLANK]]);
  expect(await threads.readyNow()).toBeUndefined();
  threads.started[1]!.say({ type: "ready", drives: TRIED });
  expect(await threads.readyNow()).toEqual(TRIED);
  expect(await asked).toEqual(TRIED);
  // From now on what is there is kept.
  threads.started[1]!.end("out of memory");
  expect(threads.started[2]!.drives).toEqual([DRIVE]);
  threads.started[2]!.say({ type: "ready", drives: TRIED });
  expect(threads.fatal).toEqual([]);
});

test("threads that end before they are ready, one after the other, end the process", () => {
  const threads = new FakeThreads();
  for (let n = 0; n < 4; n++) threads.started[n]!.end("out of memory");
  expect(threads.started).toHaveLength(4);
  expect(threads.fatal).toEqual(["out of memory (for the 4th time within 60 s)"]);
});
