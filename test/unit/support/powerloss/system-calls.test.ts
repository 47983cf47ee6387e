import { describe, expect, test } from "vitest";
import { type FileEvent, SystemCalls } from "../../../support/powerloss/system-calls.ts";

/** A string as strace -xx writes it. */
function hex(text: string): string {
  return [...Buffer.from(text)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

function eventsOf(...lines: string[]): FileEvent[] {
  const events: FileEvent[] = [];
  const calls = new SystemCalls("/data", (event) => events.push(event));
  for (const line of lines) calls.line(Buffer.from(line, "latin1"));
  return events;
}

const FILE = `7<${hex("/data/journals/A")}>`;

describe("system calls of a trace", () => {
  test("takes the pieces of a gathered write together, at their position", () => {
    const line = `12 pwritev(${FILE}, [{iov_base="${hex("ab")}", iov_len=2}, {iov_base="${hex("cd")}", iov_len=2}], 2, 8192) = 4`;
    expect(eventsOf(line)).toEqual([{ kind: "write", path: "journals/A", offset: 8192, data: Buffer.from("abcd") }]);
  });

  test("takes only what was written of a write that fell short", () => {
    const [event] = eventsOf(`12 pwrite64(${FILE}, "${hex("abcd")}", 4, 0) = 3`);
    expect(event).toMatchObject({ data: Buffer.from("abc") });
  });

  test("follows the position of a file that is written through stdio", () => {
    const events = eventsOf(
      `12 openat(AT_FDCWD, "${hex("/data/x")}", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 7<${hex("/data/x")}>`,
      `12 write(7<${hex("/data/x")}>, "${hex("abc")}", 3) = 3`,
      `13 write(7<${hex("/data/x")}>, "${hex("d")}", 1) = 1`,
    );
    expect(events).toEqual([
      { kind: "open", path: "x", creates: true, truncates: true },
      { kind: "write", path: "x", offset: 0, data: Buffer.from("abc") },
      { kind: "write", path: "x", offset: 3, data: Buffer.from("d") },
    ]);
  });

  test("tells the begin of a sync that others run beside from its end", () => {
    const events = eventsOf(
      `12 fdatasync(${FILE} <unfinished ...>`,
      `13 pwrite64(${FILE}, "${hex("a")}", 1, 0) = 1`,
      "12 <... fdatasync resumed>)             = 0",
    );
    expect(events.map(({ kind }) => kind)).toEqual(["syncBegin", "write", "syncEnd"]);
    expect(events[0]).toMatchObject({ path: "journals/A", sync: 1 });
    expect(events[2]).toMatchObject({ path: "journals/A", sync: 1 });
  });

  test("leaves out calls that the process did not outlive", () => {
    expect(eventsOf(`12 pwrite64(${FILE}, "${hex("a")}", 1, 0) = ?`, `12 unlink("${hex("/data/a")}") = ?`)).toEqual([]);
    const events = eventsOf(`12 fdatasync(${FILE} <unfinished ...>`, "12 <... fdatasync resumed>) = ?");
    expect(events.map(({ kind }) => kind)).toEqual(["syncBegin"]);
  });

  test("takes a result that no call has for that of a thread that was killed, and of no other", () => {
    const results = ["140310004736000", "-1 (errno 18446744073709551542)"];
    const calls = [
      `write(${FILE}, "${hex("a")}", 1)`,
      `unlink("${hex("/data/a")}")`,
      `fsync(${FILE})`,
      `openat(AT_FDCWD, "${hex("/data/a")}", O_RDONLY)`,
    ];
    for (const call of calls)
      for (const result of results)
        expect(eventsOf(`12 ${call} = ${result}`, `13 write(${FILE}, "${hex("b")}", 1) = 1`)).toHaveLength(1);
    const goesOn = `12 write(${FILE}, "${hex("b")}", 1) = 1`;
    for (const call of calls) expect(() => eventsOf(`12 ${call} = ${results[0]}`, goesOn)).toThrow("140310004736000");
    expect(() => eventsOf(`12 fsync(${FILE}) = ${results[1]}`, goesOn)).toThrow("returned = -1 (errno");
  });

  test("sees folders, names and marks, and leaves out what failed or lies elsewhere", () => {
    const events = eventsOf(
      `12 mkdir("${hex("/data/zones")}", 0777) = 0`,
      `12 mkdir("${hex("/data/zones")}", 0777) = -1 EEXIST (File exists)`,
      `12 rename("${hex("/data/a.new")}", "${hex("/data/a")}") = 0`,
      `12 unlink("${hex("/database/b")}") = 0`,
      `12 openat(AT_FDCWD, "${hex("/varray-mark/promise-7")}", O_RDONLY) = -1 ENOENT (No such file or directory)`,
      `12 write(3<${hex("/data/gone")}>(deleted), "${hex("a")}", 1) = 1`,
    );
    expect(events).toEqual([
      { kind: "mkdir", path: "zones" },
      { kind: "rename", path: "a.new", to: "a" },
      { kind: "mark", text: "promise-7" },
    ]);
  });

  test.each([
    [`12 link("${hex("/data/a")}", "${hex("/data/b")}") = 0`, "link"],
    [`12 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 7<${hex("/data/x")}>, 0) = 0x7f0000000000`, "mapping"],
    [`12 fdatasync(${FILE}) = -1 EIO (Input/output error)`, "failed"],
  ])("refuses what the model can't follow: %#", (line, expected) => {
    expect(() => eventsOf(line)).toThrow(expected);
  });
});
