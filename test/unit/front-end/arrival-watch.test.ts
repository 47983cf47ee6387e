/** What a write's age is told by: since when its bytes may have lain in the socket. */
import { describe, expect, test } from "vitest";
import { ArrivalWatch, ConnectionArrival } from "../../../directors/front-end/arrival-watch.ts";
import type { LogicalUnitServer, ScsiTask } from "../../../src/scsi/task.ts";
import { Initiator, write10 } from "../../support/initiator.ts";
import { openPortal } from "../../support/portal-fixture.ts";

const SMALL = 100;
const FULL = 65_536;

function ticking(): { watch: ArrivalWatch; arrival: ConnectionArrival; tick: (now: number, held?: boolean) => void } {
  const watch = new ArrivalWatch(0);
  const arrival = new ConnectionArrival(watch);
  const tick = (now: number, held = false): void => {
    watch.tick(now);
    arrival.tick(held);
  };
  return { watch, arrival, tick };
}

describe("arrival of what is read", () => {
  test("is no earlier than the tick before the last; a thread that hung has the time before it did, for one tick more", () => {
    const { arrival, tick } = ticking();
    tick(1000);
    tick(1250);
    expect(arrival.earliestMicroseconds).toBe(1000);
    // It hangs until 9000: what is read then, before and after the first tick, may be as old.
    arrival.read(SMALL, false);
    expect(arrival.earliestMicroseconds).toBe(1000);
    tick(9000);
    expect(arrival.earliestMicroseconds).toBe(1250);
    tick(9250);
    expect(arrival.earliestMicroseconds).toBe(9000);
  });

  test("is as old as the hold of a socket, until a read has emptied it", () => {
    const { arrival, tick } = ticking();
    tick(1000);
    tick(1250);
    arrival.held();
    for (let now = 1500; now < 5000; now += 250) tick(now, true);
    expect(arrival.earliestMicroseconds).toBe(1000);
    arrival.read(FULL, false); // there may be more
    expect(arrival.earliestMicroseconds).toBe(1000);
    arrival.read(SMALL, true); // held again before it was emptied
    expect(arrival.earliestMicroseconds).toBe(1000);
    arrival.read(SMALL, false);
    expect(arrival.earliestMicroseconds).toBe(4500);
  });

  test("is young again when nothing was there to be read for some ticks", () => {
    const { arrival, tick } = ticking();
    tick(1000);
    tick(1250);
    arrival.held();
    for (let now = 1500; now <= 2250; now += 250) tick(now);
    expect(arrival.earliestMicroseconds).toBe(2000);
  });

  test("does not age while a host sends without end: what was in the socket has been read at some time", () => {
    const { arrival, tick } = ticking();
    let oldest = 0;
    for (let now = 1000; now < 1_000_000; now += 250) {
      tick(now);
      for (let n = 0; n < 64; n += 1) arrival.read(FULL, false); // 4 MiB a tick, never less than is there
      oldest = Math.max(oldest, now - arrival.earliestMicroseconds);
    }
    expect(oldest).toBeLessThan(20 * 250);
  });

  test("comes with each write: one that lay in the socket while the thread was busy says so", async () => {
    const seen: number[] = [];
    const units: LogicalUnitServer = {
      planDataOut: (_lun, _cdb, plan) => Object.assign(plan, { bytes: 512, phase: 0 }),
      submit: (task: ScsiTask) => {
        seen.push(task.arrivedMicroseconds);
        task.status = 0;
        task.onComplete(task);
      },
      resetLogicalUnit: () => {},
      nexusOpened: () => {},
      nexusClosed: () => {},
    };
    const fixture = await openPortal({ portal: { units } });
    const initiator = await Initiator.open(fixture.port);
    // Frames are the fixture's to count: these writes bring no data.
    await initiator.command(write10(0, 0));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const tag = initiator.sendCommand(write10(0, 0));
    await new Promise((resolve) => setImmediate(resolve));
    const until = performance.now() + 300;
    while (performance.now() < until); // the socket has it, nobody reads
    await initiator.result(tag);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await initiator.command(write10(0, 0));
    expect(seen).toHaveLength(3);
    expect(seen[0]).toBeGreaterThan(0);
    // The third came after all that time, the second may have come before it.
    expect(seen[2]! - seen[1]!).toBeGreaterThan(300_000);
    initiator.destroy();
    await fixture.close();
  });
});
