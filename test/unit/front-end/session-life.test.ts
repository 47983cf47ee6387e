/** Pings to quiet peers, shutdown, what the control plane asks for, and which portals may listen. */
import { afterEach, describe, expect, test } from "vitest";
import { NOP_OUT } from "../../../directors/front-end/iscsi/pdu/nop-out.ts";
import type { Session } from "../../../directors/front-end/iscsi/session.ts";
import { type LoginCandidate, SessionRegistry } from "../../../directors/front-end/iscsi/session-registry.ts";
import { checkPortal, listedOnly, PortalRefused } from "../../../directors/front-end/portal-safety.ts";
import { isLoopback } from "../../../src/config/host-address.ts";
import type { HostDocument } from "../../../src/control/contract.ts";
import { Initiator, RESERVED, read10 } from "../../support/initiator.ts";
import { openPortal, type PortalFixture } from "../../support/portal-fixture.ts";
import { testTarget } from "../../support/scsi-target.ts";

const stops = (graceSeconds: number) => ({ graceSeconds, why: "the array stops" });
let fixture: PortalFixture;
afterEach(async () => {
  await fixture.close();
});

describe("a quiet peer, RFC 7143 §11.19", () => {
  test("is pinged, and lives on when it answers", async () => {
    fixture = await openPortal({ iscsi: { idlePingSeconds: 0.1, idleTimeoutSeconds: 4 } });
    const initiator = await Initiator.open(fixture.port);
    for (let n = 0; n < 4; n += 1) {
      const { fields } = await initiator.next("NOP-In");
      expect(fields.initiatorTaskTag).toBe(RESERVED);
      expect(fields.statSN).toBe(initiator.expStatSN); // not advanced
      initiator.send(NOP_OUT, {
        immediate: true,
        final: true,
        initiatorTaskTag: RESERVED,
        targetTransferTag: fields.targetTransferTag,
        cmdSN: initiator.cmdSN,
      });
    }
    expect(fixture.portal.sessions().length).toBe(1);
    initiator.send(NOP_OUT, { immediate: true, final: true, initiatorTaskTag: RESERVED, targetTransferTag: 0x1234567 });
    expect((await initiator.next("Reject")).fields.reason).toBe(9);
    initiator.destroy();
  });

  test("is dropped when it does not", async () => {
    fixture = await openPortal({ iscsi: { idlePingSeconds: 0.1, idleTimeoutSeconds: 0.3 } });
    const initiator = await Initiator.open(fixture.port);
    await initiator.next("NOP-In");
    await initiator.closed();
    for (let n = 0; n < 100 && fixture.portal.sessions().length > 0; n += 1)
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(fixture.portal.sessions()).toEqual([]);
  });
});

describe("shutdown", () => {
  test("asks for a logout, refuses new commands meanwhile, and ends when the last session has gone", async () => {
    fixture = await openPortal();
    const initiator = await Initiator.open(fixture.port);
    await initiator.testUnitReady();
    const closing = fixture.portal.close(stops(5));
    const { fields } = await initiator.next("Asynchronous Message");
    expect(fields).toMatchObject({ asyncEvent: 1, parameter3: 5, initiatorTaskTag: RESERVED });
    initiator.sendCommand(Buffer.alloc(6));
    expect((await initiator.next("Reject")).fields.reason).toBe(0x0c);
    expect(await initiator.logout()).toBe(0);
    await closing;
    await expect(Initiator.connect(fixture.port)).rejects.toThrow();
  });

  test("ends sessions that do not log out, when what they had at the logical units has come back", async () => {
    fixture = await openPortal();
    const initiator = await Initiator.open(fixture.port);
    await initiator.testUnitReady();
    fixture.blocks.held = true;
    initiator.sendCommand(read10(0, 1), { read: true, expectedDataTransferLength: 512 });
    await initiator.ping();
    const closing = fixture.portal.close(stops(0.05));
    await initiator.next("Asynchronous Message");
    // It was asked for one second, as that is the least that can be said.
    const { fields } = await initiator.next("Asynchronous Message");
    expect(fields).toMatchObject({ asyncEvent: 2, parameter1: initiator.cid, parameter2: 2, parameter3: 20 });
    await initiator.closed();
    fixture.blocks.held = false;
    while (fixture.blocks.step());
    await closing;
    expect(fixture.frames.taken.size).toBe(0);
    expect(fixture.portal.sessions()).toEqual([]);
  });
});

describe("what the control plane sees and asks for", () => {
  test("sessions come and go with events, and can be dropped by initiator name", async () => {
    fixture = await openPortal();
    const name = "iqn.2026-11.test:dropped";
    const one = await Initiator.open(fixture.port, { initiatorName: name, keys: { HeaderDigest: "CRC32C" } });
    const other = await Initiator.open(fixture.port);
    expect(fixture.portal.sessions()).toContainEqual(
      expect.objectContaining({
        initiatorName: name,
        headerDigest: true,
        dataDigest: false,
        address: "127.0.0.1",
        director: "1A",
      }),
    );
    expect(fixture.portal.dropSessionsOf(name.toUpperCase())).toBe(1);
    const { fields } = await one.next("Asynchronous Message");
    expect(fields).toMatchObject({ asyncEvent: 3, parameter1: 0, parameter2: 2, parameter3: 20, initiatorTaskTag: RESERVED });
    await one.closed();
    await other.ping();
    const told = fixture.events.filter(({ subject }) => subject === name).map(({ type }) => type);
    expect(told).toEqual(["session.login", "session.logout"]);
    const ends = () => fixture.events.filter(({ type }) => type === "session.logout").map(({ message }) => message);
    expect(ends()).toEqual([expect.stringMatching(/ended: dropped: its host was removed or changed$/)]);
    expect(fixture.counter("sessions")).toBe(1);
    other.destroy();
    await expect.poll(ends).toContainEqual(expect.stringMatching(/ended: its connection was closed by the host or lost$/));
    const third = await Initiator.open(fixture.port);
    await third.logout({ immediate: true, reason: 0 });
    await third.closed();
    await expect.poll(ends).toContainEqual(expect.stringMatching(/ended: the host logged out$/));
    await Initiator.open(fixture.port);
    await fixture.portal.close(stops(0.05));
    expect(ends().at(-1)).toMatch(/ended: the array stops$/);
  });

  test("commands are counted and timed by kind", async () => {
    fixture = await openPortal();
    const initiator = await Initiator.open(fixture.port);
    await initiator.testUnitReady();
    await initiator.write(0, Buffer.alloc(4096));
    await initiator.read(0, 8);
    await initiator.read(0, 8);
    expect([fixture.counter("readCommands"), fixture.counter("writeCommands"), fixture.counter("otherCommands")]).toEqual([
      2, 1, 1,
    ]);
    expect([fixture.counter("readBytes"), fixture.counter("writeBytes")]).toEqual([8192, 4096]);
    expect(fixture.counter("checkConditions")).toBe(1); // power on
    expect(fixture.counter("bytesOut")).toBeGreaterThan(8192);
    initiator.destroy();
  });
});

describe("a director that comes back after its death", () => {
  test("gives no host what a unit, which nobody served meanwhile, remembers of another one", async () => {
    const reserve = Buffer.from([0x16, 0, 0, 0, 0, 0]);
    const statusOf = async (initiator: Initiator, cdb: Buffer) => (await initiator.command(cdb)).status;
    const before = testTarget();
    const dead = await openPortal({ target: before });
    const holder = await Initiator.open(dead.port);
    await holder.testUnitReady();
    expect(await statusOf(holder, reserve)).toBe(0);

    const now = testTarget({ global: before.global });
    fixture = await openPortal({ target: now });
    const first = await Initiator.open(fixture.port);
    const second = await Initiator.open(fixture.port);
    now.servers[0].adopt([1]);
    // Neither is the old one: both hear of the power, and find nothing reserved.
    for (const initiator of [first, second]) {
      expect((await initiator.testUnitReady()).status).toBe(2);
      expect((await initiator.testUnitReady()).status).toBe(0);
    }
    for (const initiator of [holder, first, second]) initiator.destroy();
    await dead.close();
  });
});

describe("sessions' numbers", () => {
  const tsihFrom = (registry: SessionRegistry): number => {
    let given = 0;
    const identity = { initiatorName: "iqn.x", isid: "00" } as LoginCandidate["identity"];
    registry.makeRoom({
      identity,
      stillThere: () => true,
      ready: (tsih) => {
        given = tsih;
      },
      refuse: () => undefined,
    });
    return given;
  };

  test("go on where the life before was, and round, past 0 and those of open sessions", async () => {
    fixture = await openPortal();
    const numbers = { last: 0xfffe };
    const registry = new SessionRegistry(16, numbers);
    expect([tsihFrom(registry), tsihFrom(registry)]).toEqual([0xffff, 1]);
    registry.add({ identity: { tsih: 2, initiatorName: "iqn.y", isid: "01" } } as Session);
    expect(tsihFrom(registry)).toBe(3);
    expect(tsihFrom(new SessionRegistry(16, numbers))).toBe(4);
  });
});

describe("which portals may listen", () => {
  const host = (chap: boolean): HostDocument => ({
    name: "h",
    initiatorName: "iqn.x",
    ...(chap ? { chap: { user: "u", secret: "s" } } : {}),
  });
  const access = (hosts: HostDocument[], allowListOnly = false) => ({ targetName: "iqn.t", hosts, allowListOnly, luns: [] });

  test("loopback always; beyond it only with a list, CHAP for every host, or open", async () => {
    fixture = await openPortal();
    for (const loopback of ["127.0.0.1", "127.8.9.10", "::1", "localhost"]) expect(isLoopback(loopback)).toBe(true);
    for (const other of ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example"]) expect(isLoopback(other)).toBe(false);
    expect(() => checkPortal("0.0.0.0", access([]), false)).toThrow(PortalRefused);
    expect(() => checkPortal("0.0.0.0", access([host(true), host(false)]), false)).toThrow(PortalRefused);
    expect(() => checkPortal("0.0.0.0", access([host(true)]), false)).not.toThrow();
    expect(() => checkPortal("0.0.0.0", access([], true), false)).not.toThrow();
    expect(() => checkPortal("0.0.0.0", access([]), true)).not.toThrow();
    expect(() => checkPortal("127.0.0.1", access([]), false)).not.toThrow();
    expect(listedOnly("0.0.0.0", false)).toBe(true);
    expect(listedOnly("0.0.0.0", true)).toBe(false);
  });

  test("one that may not refuses to listen, with a typed error", async () => {
    fixture = await openPortal();
    await expect(openPortal({ host: "0.0.0.0" })).rejects.toBeInstanceOf(PortalRefused);
  });

  test("where CHAP is what lets it listen, an initiator that is no host gets 0202", async () => {
    fixture = await openPortal({ host: "0.0.0.0", access: { hosts: [host(true)] } });
    const initiator = await Initiator.connect(fixture.port);
    initiator.loginRequest({ transit: true, currentStage: 1, nextStage: 3 }, initiator.identity());
    expect(await initiator.loginStatus()).toBe("0202");
  });
});
