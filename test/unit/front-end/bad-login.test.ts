/** Every row of "Before login ends": the exact answer, and a session beside it that notices nothing. */
import { createHash } from "node:crypto";
import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { LOGIN_REQUEST } from "../../../directors/front-end/iscsi/pdu/login-request.ts";
import { NOP_OUT } from "../../../directors/front-end/iscsi/pdu/nop-out.ts";
import { Initiator } from "../../support/initiator.ts";
import { openPortal, type PortalFixture } from "../../support/portal-fixture.ts";

const USER = "host-user";
const SECRET = "a secret of 20 bytes";
const CHAP_HOST = "iqn.2026-11.test:chap-host";

let fixture: PortalFixture;
let witness: Initiator;

beforeAll(async () => {
  fixture = await openPortal({
    iscsi: { loginTimeoutSeconds: 1, connectionsPerAddressMax: 12, sessionsPerDirectorMax: 6 },
    access: { hosts: [{ name: "chap", initiatorName: CHAP_HOST, chap: { user: USER, secret: SECRET } }] },
  });
  witness = await Initiator.open(fixture.port, { initiatorName: "iqn.2026-11.test:witness" });
  await witness.testUnitReady();
});
afterEach(async () => {
  expect((await witness.testUnitReady()).status).toBe(0);
  expect((await witness.read(0, 1)).status).toBe(0);
});
afterAll(async () => {
  witness.destroy();
  await fixture.close();
});

const connectTo = (name?: string): Promise<Initiator> => Initiator.connect(fixture.port, name);
const operational = { transit: true, currentStage: 1, nextStage: 3 } as const;

async function statusOf(fields: Partial<LOGIN_REQUEST>, text: Buffer | Record<string, string>, name?: string): Promise<string> {
  const initiator = await connectTo(name);
  initiator.loginRequest(fields, text);
  return initiator.loginStatus();
}

const IDENTITY = { InitiatorName: "iqn.2026-11.test:host", SessionType: "Normal", TargetName: "iqn.2026-11.test:array" };

describe("before the first login request", () => {
  test.each([
    ["garbage", Buffer.from(Array.from({ length: 200 }, (_, i) => (i * 31 + 77) & 0xff))],
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\nHost: array.example\r\nUser-Agent: something\r\n\r\n")],
    ["a NOP-Out", Buffer.from(NOP_OUT.encode({ immediate: true, final: true }))],
  ])("%s closes the connection without an answer", async (_name, bytes) => {
    const initiator = await connectTo();
    initiator.raw(bytes);
    await initiator.closed();
  });

  test("half a header, and an idle connection, end at the login timeout, which is counted", async () => {
    const before = fixture.counter("loginsTimedOut");
    const half = await connectTo();
    half.raw(Buffer.from([0x43, 0x87, 0, 0, 0]));
    const idle = await connectTo();
    await half.closed();
    await idle.closed();
    expect(fixture.counter("loginsTimedOut")).toBe(before + 2);
  });

  test("a header that announces more than 8192 bytes closes, though nothing follows", async () => {
    const initiator = await connectTo();
    initiator.raw(LOGIN_REQUEST.encode({ immediate: true, ...operational, dataSegmentLength: 8193 }));
    await initiator.closed();
  });

  test("connections over the cap for an address are closed at once", async () => {
    const before = fixture.counter("connectionsRefused");
    const some = await Promise.all(Array.from({ length: 12 }, () => connectTo()));
    const results = await Promise.all(
      some.map((each) =>
        Promise.race([each.closed().then(() => "closed"), new Promise((r) => setTimeout(() => r("open"), 100))]),
      ),
    );
    expect(results.filter((result) => result === "closed").length).toBeGreaterThanOrEqual(1);
    expect(fixture.counter("connectionsRefused")).toBeGreaterThan(before);
    for (const each of some) each.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
  });
});

describe("a login request that is wrong", () => {
  test("a PDU that is no login request after one gets 020b and the close", async () => {
    const initiator = await connectTo();
    initiator.loginRequest({ currentStage: 1 }, initiator.identity());
    await initiator.loginResponse();
    initiator.send(NOP_OUT, { immediate: true, final: true });
    expect(await initiator.loginStatus()).toBe("020b");
  });

  test("continuation without end gets 0200", async () => {
    const initiator = await connectTo();
    const piece = Buffer.alloc(8000, 0x61);
    for (let n = 0; n < 2; n += 1) {
      initiator.loginRequest({ continue: true, currentStage: 1 }, piece);
      expect((await initiator.loginResponse()).fields.statusClass).toBe(0);
    }
    initiator.loginRequest({ continue: true, currentStage: 1 }, piece);
    expect(await initiator.loginStatus()).toBe("0200");
  });

  test("many empty requests get 0200", async () => {
    const initiator = await connectTo();
    let status = "0000";
    for (let n = 0; n < 100 && status === "0000"; n += 1) {
      initiator.loginRequest({ currentStage: 1 }, n === 0 ? initiator.identity() : {});
      status = await initiator.loginStatus();
    }
    expect(status).toBe("0200");
  });

  test.each([
    ["an unsupported version", "0205", { versionMin: 1, versionMax: 1 }, IDENTITY],
    ["no InitiatorName", "0207", {}, { TargetName: IDENTITY.TargetName }],
    ["no TargetName", "0207", {}, { InitiatorName: IDENTITY.InitiatorName }],
    ["a target that does not exist", "0203", {}, { ...IDENTITY, TargetName: "iqn.2026-11.test:none" }],
    ["a TSIH that does not exist", "020a", { tsih: 999 }, IDENTITY],
    ["a session type that does not exist", "0209", {}, { ...IDENTITY, SessionType: "Other" }],
    ["CSG 3", "0200", { currentStage: 3, nextStage: 3 }, IDENTITY],
    ["CSG 2", "0200", { currentStage: 2, nextStage: 3 }, IDENTITY],
    ["NSG before CSG", "0200", { currentStage: 1, nextStage: 0 }, IDENTITY],
    ["NSG equal to CSG", "0200", { currentStage: 1, nextStage: 1 }, IDENTITY],
    ["NSG 2", "0200", { currentStage: 1, nextStage: 2 }, IDENTITY],
    ["T and C together", "0200", { continue: true }, IDENTITY],
    ["a pair without =", "0200", {}, Buffer.from("InitiatorName=iqn.x\0TargetName\0")],
    ["text without NUL", "0200", {}, Buffer.from("InitiatorName=iqn.x\0TargetName=iqn.2026-11.test:array")],
    ["a key of 64 bytes", "0200", {}, { ...IDENTITY, [`X${"k".repeat(63)}`]: "1" }],
    [
      "a key twice",
      "0200",
      {},
      Buffer.from("InitiatorName=iqn.x\0TargetName=iqn.2026-11.test:array\0InitialR2T=No\0InitialR2T=No\0"),
    ],
    ["an InitiatorName over 223 bytes", "0200", {}, { ...IDENTITY, InitiatorName: `iqn.${"x".repeat(220)}` }],
    ["an empty key", "0200", {}, Buffer.from("InitiatorName=iqn.x\0=value\0")],
  ])("%s gets %s", async (_name, status, fields, text) => {
    expect(await statusOf({ ...operational, ...fields }, text as Buffer | Record<string, string>)).toBe(status);
  });

  test("a key that comes again in a later request gets 0200", async () => {
    const initiator = await connectTo();
    initiator.loginRequest({ currentStage: 1 }, { ...initiator.identity(), InitialR2T: "No" });
    await initiator.loginResponse();
    initiator.loginRequest(operational, { InitialR2T: "Yes" });
    expect(await initiator.loginStatus()).toBe("0200");
  });

  test("an ISID or a task tag that changes gets 0200", async () => {
    const initiator = await connectTo();
    initiator.loginRequest({ currentStage: 1 }, initiator.identity());
    await initiator.loginResponse();
    initiator.loginRequest({ ...operational, initiatorTaskTag: 5 });
    expect(await initiator.loginStatus()).toBe("0200");
  });

  test("one more connection in a session gets 0206", async () => {
    expect(
      await statusOf({ ...operational, isid: witness.isid, tsih: witness.tsih }, { ...IDENTITY, InitiatorName: witness.name }),
    ).toBe("0206");
  });

  test("sessions over the cap get 0302", async () => {
    const sessions: Initiator[] = [];
    let status = "0000";
    while (status === "0000" && sessions.length < 10) {
      const initiator = await connectTo();
      sessions.push(initiator);
      initiator.loginRequest(operational, initiator.identity());
      status = await initiator.loginStatus();
    }
    expect({ status, sessions: sessions.length }).toEqual({ status: "0302", sessions: 6 }); // the witness is the sixth
    for (const initiator of sessions) initiator.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
  });
});

describe("keys that are wrong", () => {
  test("each unknown key is answered NotUnderstood, as long as the answers fit one response", async () => {
    const unknown = (count: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`X-unknown-${n}`, "1"]));
    const initiator = await connectTo();
    initiator.loginRequest(operational, { ...initiator.identity(), ...unknown(200) });
    expect((await initiator.loginResponse()).fields.statusClass).toBe(0);
    expect([...initiator.keys].filter(([, value]) => value === "NotUnderstood").length).toBe(200);
    initiator.destroy();
    expect(await statusOf(operational, { ...IDENTITY, ...unknown(500) })).toBe("0200");
  });

  test("values out of range are answered Reject, and the default stays in force", async () => {
    const wrong = {
      MaxBurstLength: "511",
      FirstBurstLength: "16777216",
      MaxOutstandingR2T: "0",
      MaxConnections: "65536",
      DefaultTime2Wait: "3601",
      ErrorRecoveryLevel: "3",
      InitialR2T: "Maybe",
      ImmediateData: "yes",
      MaxRecvDataSegmentLength: "100",
      HeaderDigest: "MD5",
      TaskReporting: "FastAbort",
      iSCSIProtocolLevel: "-1",
    };
    const initiator = await connectTo();
    initiator.loginRequest({ currentStage: 1 }, { ...initiator.identity(), ...wrong });
    const text = (await initiator.loginResponse()).data.toString();
    for (const key of Object.keys(wrong)) expect(text).toContain(`${key}=Reject\0`);
    initiator.destroy();
  });

  test("keys that make no sense in a discovery session are Irrelevant", async () => {
    const initiator = await Initiator.open(fixture.port, {
      discovery: true,
      keys: { MaxBurstLength: "65536", HeaderDigest: "None" },
    });
    expect(initiator.keys.get("MaxBurstLength")).toBe("Irrelevant");
    expect(initiator.keys.get("HeaderDigest")).toBe("None");
    initiator.destroy();
  });
});

describe("who may log in", () => {
  test("an initiator that is not on the list gets 0202", async () => {
    fixture.access.allowListOnly = true;
    const before = fixture.counter("loginsRefused");
    try {
      expect(await statusOf(operational, IDENTITY)).toBe("0202");
    } finally {
      fixture.access.allowListOnly = false;
    }
    expect(fixture.counter("loginsRefused")).toBe(before + 1);
    // Peers can't flood the event stream: ten of a type in ten seconds.
    const told = fixture.events.filter(({ type }) => type === "session.loginFailed");
    expect(told.length).toBe(10);
    expect(told[0]!.message).toMatch(/refused, 0[23]/);
  });

  test("skipping the security stage, or AuthMethod=None, where CHAP is due gets 0201", async () => {
    const identity = { ...IDENTITY, InitiatorName: CHAP_HOST };
    expect(await statusOf(operational, identity)).toBe("0201");
    expect(await statusOf({ transit: true, currentStage: 0, nextStage: 1 }, { ...identity, AuthMethod: "None" })).toBe("0201");
    expect(await statusOf({ transit: true, currentStage: 0, nextStage: 1 }, identity)).toBe("0201");
    expect(await statusOf({ transit: true, currentStage: 0, nextStage: 3 }, { ...identity, AuthMethod: "KRB5,None" })).toBe(
      "0201",
    );
  });
});

describe("CHAP, RFC 7143 §12.1.3", () => {
  interface Challenged {
    readonly initiator: Initiator;
    readonly identifier: number;
    readonly challenge: Buffer;
  }

  async function challenged(algorithms = "5"): Promise<Challenged> {
    const initiator = await connectTo(CHAP_HOST);
    initiator.loginRequest(
      { transit: true, currentStage: 0, nextStage: 1 },
      { ...initiator.identity(), AuthMethod: "CHAP,None" },
    );
    expect((await initiator.loginResponse()).fields).toMatchObject({ statusClass: 0, transit: false });
    expect(initiator.keys.get("AuthMethod")).toBe("CHAP");
    initiator.loginRequest({ currentStage: 0 }, { CHAP_A: algorithms });
    const { fields } = await initiator.loginResponse();
    expect(fields.statusClass).toBe(0);
    return {
      initiator,
      identifier: Number(initiator.keys.get("CHAP_I")),
      challenge: Buffer.from(initiator.keys.get("CHAP_C")!.slice(2), "hex"),
    };
  }

  const digest = ({ identifier, challenge }: Challenged, hash = "md5", secret = SECRET): Buffer =>
    createHash(hash).update(Buffer.of(identifier)).update(secret).update(challenge).digest();

  test.each([
    ["MD5", "5", "md5", "5"],
    ["SHA-256, which the initiator prefers", "7,5", "sha256", "7"],
    ["SHA3-256", "9,8", "sha3-256", "8"],
  ])("the right secret logs in with %s", async (_name, offered, hash, chosen) => {
    const exchange = await challenged(offered);
    const { initiator } = exchange;
    expect(initiator.keys.get("CHAP_A")).toBe(chosen);
    const response =
      hash === "md5" ? `0x${digest(exchange, hash).toString("hex")}` : `0b${digest(exchange, hash).toString("base64")}`;
    initiator.loginRequest({ transit: true, currentStage: 0, nextStage: 1 }, { CHAP_N: USER, CHAP_R: response });
    expect((await initiator.loginResponse()).fields).toMatchObject({ statusClass: 0, transit: true, nextStage: 1 });
    initiator.loginRequest(operational);
    expect((await initiator.loginResponse()).fields).toMatchObject({ statusClass: 0, transit: true, nextStage: 3 });
    expect((await initiator.testUnitReady()).status).toBe(2); // power-on unit attention
    initiator.destroy();
  });

  test("every challenge is another one", async () => {
    const [one, two] = [await challenged(), await challenged()];
    expect(one.challenge.equals(two.challenge)).toBe(false);
    one.initiator.destroy();
    two.initiator.destroy();
  });

  const answers: readonly (readonly [string, string, (exchange: Challenged) => Record<string, string>])[] = [
    ["a wrong secret", "0201", (e) => ({ CHAP_N: USER, CHAP_R: `0x${digest(e, "md5", "wrong").toString("hex")}` })],
    ["a wrong name", "0201", (e) => ({ CHAP_N: "other", CHAP_R: `0x${digest(e).toString("hex")}` })],
    ["no name", "0201", (e) => ({ CHAP_R: `0x${digest(e).toString("hex")}` })],
    ["a response of the wrong length", "0201", (e) => ({ CHAP_N: USER, CHAP_R: `0x${digest(e).toString("hex").slice(2)}` })],
    ["an odd number of digits", "0200", (e) => ({ CHAP_N: USER, CHAP_R: `0x${digest(e).toString("hex").slice(1)}` })],
    ["digits that are none", "0200", () => ({ CHAP_N: USER, CHAP_R: "0xzz" })],
    ["base64 that is none", "0200", () => ({ CHAP_N: USER, CHAP_R: "0b!!!!" })],
    ["no prefix", "0200", () => ({ CHAP_N: USER, CHAP_R: "1234" })],
    ["an oversized response", "0200", () => ({ CHAP_N: USER, CHAP_R: `0x${"ab".repeat(1025)}` })],
    ["an oversized response in base64", "0200", () => ({ CHAP_N: USER, CHAP_R: `0b${"QUJD".repeat(400)}` })],
    [
      "our own challenge reflected",
      "0201",
      (e) => ({
        CHAP_N: USER,
        CHAP_R: `0x${digest(e).toString("hex")}`,
        CHAP_I: String(e.identifier),
        CHAP_C: `0x${e.challenge.toString("hex")}`,
      }),
    ],
    [
      "a challenge over 1024 bytes",
      "0200",
      (e) => ({ CHAP_N: USER, CHAP_R: `0x${digest(e).toString("hex")}`, CHAP_I: "1", CHAP_C: `0x${"ab".repeat(1025)}` }),
    ],
    [
      "mutual authentication, which this target has no secret for",
      "0201",
      (e) => ({ CHAP_N: USER, CHAP_R: `0x${digest(e).toString("hex")}`, CHAP_I: "1", CHAP_C: "0x1234" }),
    ],
    ["a second CHAP_A", "0200", () => ({ CHAP_A: "5" })],
    ["nothing, but the wish to go on", "0201", () => ({})],
  ];
  test.each(answers)("%s gets %s", async (_name, status, answer) => {
    const exchange = await challenged();
    exchange.initiator.loginRequest({ transit: true, currentStage: 0, nextStage: 1 }, answer(exchange));
    expect(await exchange.initiator.loginStatus()).toBe(status);
  });

  test("CHAP_R before a challenge, and an unknown CHAP_A, get 0201", async () => {
    const identity = { ...IDENTITY, InitiatorName: CHAP_HOST };
    expect(await statusOf({ currentStage: 0 }, { ...identity, AuthMethod: "CHAP", CHAP_N: USER, CHAP_R: "0x00" })).toBe("0201");
    expect(await statusOf({ currentStage: 0 }, { ...identity, AuthMethod: "CHAP", CHAP_A: "6,99" })).toBe("0201");
    expect(await statusOf({ currentStage: 0 }, { ...identity, CHAP_A: "5" })).toBe("0201");
  });

  test("a session is reinstated only after authentication", async () => {
    const first = await challenged();
    first.initiator.loginRequest(
      { transit: true, currentStage: 0, nextStage: 3 },
      { CHAP_N: USER, CHAP_R: `0x${digest(first).toString("hex")}` },
    );
    expect((await first.initiator.loginResponse()).fields.transit).toBe(true);
    // Same name and ISID, without the secret: the session lives on.
    expect(await statusOf({ ...operational, isid: first.initiator.isid }, { ...IDENTITY, InitiatorName: CHAP_HOST })).toBe(
      "0201",
    );
    await first.initiator.ping();
    first.initiator.destroy();
  });
});

describe("session reinstatement, RFC 7143 §6.3.5", () => {
  test("a login with the same name and ISID ends the old session, then is answered", async () => {
    const old = await Initiator.open(fixture.port);
    const { tsih, isid } = old;
    await old.testUnitReady();
    fixture.blocks.held = true;
    old.sendCommand(
      Buffer.from("2a000000001000000100", "hex"),
      { write: true, expectedDataTransferLength: 512 },
      { data: Buffer.alloc(512, 7) },
    );
    const next = await connectTo();
    next.loginRequest({ ...operational, isid }, next.identity());
    await old.closed();
    fixture.blocks.held = false;
    while (fixture.blocks.step());
    expect((await next.loginResponse()).fields).toMatchObject({ statusClass: 0, transit: true });
    expect(next.tsih).not.toBe(tsih);
    expect(fixture.portal.sessions().filter((session) => session.isid === isid).length).toBe(1);
    next.destroy();
  });

  test("bytes before the answer to a login that waits close its connection", async () => {
    const old = await Initiator.open(fixture.port);
    await old.testUnitReady();
    fixture.blocks.held = true;
    old.sendCommand(
      Buffer.from("2a000000001000000100", "hex"),
      { write: true, expectedDataTransferLength: 512 },
      { data: Buffer.alloc(512, 7) },
    );
    await old.ping(); // the write is at the logical unit
    const next = await connectTo();
    next.loginRequest({ ...operational, isid: old.isid }, next.identity());
    await old.closed();
    next.send(NOP_OUT, { immediate: true, final: true });
    await next.closed();
    fixture.blocks.held = false;
    while (fixture.blocks.step());
  });

  test("of several logins that wait for the same session, one that has gone ends nobody's", async () => {
    const old = await Initiator.open(fixture.port);
    const { isid } = old;
    await old.testUnitReady();
    fixture.blocks.held = true;
    old.sendCommand(
      Buffer.from("2a000000001000000100", "hex"),
      { write: true, expectedDataTransferLength: 512 },
      { data: Buffer.alloc(512, 7) },
    );
    await old.ping(); // the write is at the logical unit
    const waiting: Initiator[] = [];
    for (let n = 0; n < 3; n += 1) {
      const initiator = await connectTo();
      initiator.loginRequest({ ...operational, isid }, initiator.identity());
      waiting.push(initiator);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    waiting[0]!.socket.resetAndDestroy();
    waiting[2]!.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
    fixture.blocks.held = false;
    while (fixture.blocks.step());
    const survivor = waiting[1]!;
    expect((await survivor.loginResponse()).fields).toMatchObject({ statusClass: 0, transit: true });
    await survivor.ping();
    expect(fixture.portal.sessions().filter((session) => session.isid === isid).length).toBe(1);
    survivor.destroy();
  });

  test("another ISID is another session", async () => {
    const one = await Initiator.open(fixture.port);
    const two = await Initiator.open(fixture.port);
    await one.ping();
    await two.ping();
    one.destroy();
    two.destroy();
  });
});

test("a connection reset in the middle of a login leaves nothing behind", async () => {
  const before = fixture.portal.sessions().length;
  for (let n = 0; n < 5; n += 1) {
    const socket = connect({ port: fixture.port, host: "127.0.0.1" });
    await new Promise((resolve) => socket.once("connect", resolve));
    socket.write(LOGIN_REQUEST.encode({ immediate: true, ...operational, dataSegmentLength: 100 }).subarray(0, 40 + n));
    socket.resetAndDestroy();
  }
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(fixture.portal.sessions().length).toBe(before);
});
