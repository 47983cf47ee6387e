import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { type ControlArray, controlArray } from "../../support/control-array.ts";

const open: ControlArray[] = [];
async function listening(wishes: Parameters<typeof controlArray>[0] = {}): Promise<{ one: ControlArray; port: number }> {
  const one = await controlArray(wishes);
  open.push(one);
  await one.app.listen({ host: "127.0.0.1", port: 0 });
  return { one, port: (one.app.server.address() as AddressInfo).port };
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

/** Sends `text`, keeps the connection open, and gives what came until the other end closed it. */
function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(answer));
  });
}

describe("API, bad input on the socket (bad-input.md, REST)", () => {
  test("headers too large 431", async () => {
    const { port } = await listening();
    const answer = await exchange(port, `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Big: ${"x".repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 .*\r\n/);
    expect(answer).toContain('"code":"headersTooLarge"');
  });

  test("a body that does not come 408, and others are served meanwhile", async () => {
    const { one, port } = await listening({ requestMilliseconds: 300 });
    const slow = exchange(
      port,
      "POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer admin-token-of-the-test-0123456789\r\n" +
        'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"name"',
    );
    expect((await one.app.inject("/healthz")).statusCode).toBe(200);
    const answer = await slow;
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(answer).toContain('"code":"requestTimeout"');
  });

  test("a head that does not come 408", async () => {
    const { port } = await listening({ requestMilliseconds: 300 });
    expect(await exchange(port, "GET /healthz HTTP/1.1\r\nHost: local")).toMatch(/^HTTP\/1\.1 408 /);
  });

  test("what is no HTTP 400", async () => {
    const { port } = await listening();
    expect(await exchange(port, "\x43\x00iSCSI login\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
  });

  test("a request without Host is refused", async () => {
    const { port } = await listening();
    expect(await exchange(port, "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
    expect(await exchange(port, "GET /healthz HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1\.[01] 403 /);
  });
});

describe("API, event stream", () => {
  test("gives what is kept, then what comes, and ends when the server closes", async () => {
    const { one, port } = await listening();
    one.directors[0]!.raise("drive.missing", "critical");
    await expect.poll(() => one.events.list({}).length).toBe(3); // two portals have opened
    const stream = await fetch(`http://127.0.0.1:${port}/api/v1/events/stream?severity=warning`);
    expect(stream.headers.get("content-type")).toContain("text/event-stream");
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    const readUntil = async (wanted: string) => {
      while (!text.includes(wanted)) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`ended without ${wanted}: ${text}`);
        text += value;
      }
    };
    await readUntil("drive.missing");
    one.directors[0]!.raise("session.login");
    one.directors[0]!.raise("pool.nearlyFull", "warning");
    await readUntil("pool.nearlyFull");
    expect(text).not.toContain("session.login");
    expect(text).toMatch(/id: 3\nevent: array\ndata: \{"sequence":3,/);
    await one.app.close();
    await expect(
      (async () => {
        while (!(await reader.read()).done);
      })().catch(() => "ended"),
    ).resolves.not.toBe("open");
  });

  test("of the seventeenth reader is refused with 503", async () => {
    const { port } = await listening();
    const control = new AbortController();
    const url = `http://127.0.0.1:${port}/api/v1/events/stream`;
    const answers = await Promise.all(Array.from({ length: 17 }, () => fetch(url, { signal: control.signal })));
    expect(answers.map(({ status }) => status).filter((status) => status === 503)).toHaveLength(1);
    control.abort();
  });
});
