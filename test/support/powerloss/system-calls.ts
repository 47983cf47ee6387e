/**
 * Reads what strace wrote of a process: the system calls that change files below one folder, in their order, with data.
 *
 *   strace -f -xx -y -s … : `PID call(args) = result`, all strings as \x.., descriptors with their paths;
 *   a call that others run beside comes in two lines, `<unfinished ...>` and `<... call resumed>`
 *
 * What a call changes is told when it has ended; of fsync and fdatasync also the begin, as what is written meanwhile is
 * not covered. Threads of a process are not told apart: paths come from strace itself.
 */
import { createReadStream } from "node:fs";

/** strace is to trace these: all by which files could change, and two that must not be used that way. */
export const TRACED_CALLS =
  "write,pwrite64,writev,pwritev,pwritev2,openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir," +
  "truncate,ftruncate,fallocate,fsync,fdatasync,sync_file_range,link,linkat,symlink,symlinkat,copy_file_range,sendfile," +
  "mmap,io_uring_setup";
/** Longer data would be cut short: LevelDB's tables are written in pieces of 64 KiB, the journal's records are up to 4.3 MiB. */
export const TRACED_BYTES_MAX = 8 * 2 ** 20;

/** A file that is opened below this folder, which is not there, is a mark: the rest of its path is the text. */
export const MARK_FOLDER = "/varray-mark/";

export type FileEvent =
  | { readonly kind: "write"; readonly path: string; readonly offset: number; readonly data: Buffer }
  | { readonly kind: "open"; readonly path: string; readonly creates: boolean; readonly truncates: boolean }
  | { readonly kind: "truncate"; readonly path: string; readonly size: number }
  | { readonly kind: "mkdir" | "unlink" | "rmdir"; readonly path: string }
  | { readonly kind: "rename"; readonly path: string; readonly to: string }
  /** `sync` pairs the two: a number of its own for each call. */
  | { readonly kind: "syncBegin" | "syncEnd"; readonly path: string; readonly sync: number }
  | { readonly kind: "mark"; readonly text: string };

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const UNFINISHED = Buffer.from("<unfinished ...>");
const DESCRIPTORS_MAX = 2 ** 20;
const HEX = new Uint8Array(256).fill(255);
for (let n = 0; n < 16; n++) HEX[n.toString(16).charCodeAt(0)] = n;

/** All events of a trace, of files below `folder`. @throws Error when it has a call that the model of files has not */
export async function readSystemCalls(trace: string, folder: string, take: (event: FileEvent) => void): Promise<void> {
  const calls = new SystemCalls(folder, take);
  const parts: Buffer[] = [];
  for await (const chunk of createReadStream(trace, { highWaterMark: 4 * 2 ** 20 }) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      parts.push(chunk.subarray(from, end));
      calls.line(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
      parts.length = 0;
      from = end + 1;
    }
    if (from < chunk.length) parts.push(chunk.subarray(from));
  }
}

export class SystemCalls {
  readonly #folder: string;
  readonly #take: (event: FileEvent) => void;
  /** First halves of calls under way, by thread. */
  readonly #unfinished = new Map<string, { line: Buffer; sync: number }>();
  /** Where the next write() without a position goes, by descriptor: LevelDB's files are written through stdio. */
  readonly #positions = new Map<string, number>();
  #syncs = 0;
  /** The thread whose line is read; and of each what it ended with that no call ends with. */
  #thread = "";
  readonly #impossible = new Map<string, string>();

  constructor(folder: string, take: (event: FileEvent) => void) {
    this.#folder = folder;
    this.#take = take;
  }

  line(line: Buffer): void {
    const space = line.indexOf(0x20);
    const thread = line.toString("latin1", 0, space);
    let start = space;
    while (line[start] === 0x20) start += 1;
    let call = line.subarray(start);
    let sync = -1;
    this.#thread = thread;
    const impossible = this.#impossible.get(thread);
    if (impossible !== undefined) throw new Error(impossible);
    if (call.subarray(0, 5).toString("latin1") === "<... ") {
      const first = this.#unfinished.get(thread);
      this.#unfinished.delete(thread);
      if (first === undefined) throw new Error(`a call of thread ${thread} goes on that never began`);
      sync = first.sync;
      call = Buffer.concat([first.line, call.subarray(call.indexOf(">") + 1)]);
    } else if (call.subarray(-UNFINISHED.length).equals(UNFINISHED)) {
      const half = call.subarray(0, call.length - UNFINISHED.length);
      this.#unfinished.set(thread, { line: Buffer.from(half), sync: this.#syncBegins(half) });
      return;
    }
    this.#ended(call, sync);
  }

  #syncBegins(call: Buffer): number {
    if (!isSync(nameOf(call))) return -1;
    const path = this.#below(descriptorOf(call).path);
    if (path === undefined) return -1;
    this.#syncs += 1;
    this.#take({ kind: "syncBegin", path, sync: this.#syncs });
    return this.#syncs;
  }

  #ended(call: Buffer, begunSync: number): void {
    const name = nameOf(call);
    const equals = call.lastIndexOf(" = ");
    if (equals < 0) return;
    const result = Number.parseInt(call.toString("latin1", equals + 3, equals + 24), 10);
    switch (name) {
      case "write":
      case "writev":
      case "pwrite64":
      case "pwritev":
      case "pwritev2":
        this.#write(name, call.subarray(0, equals), result);
        break;
      case "fsync":
      case "fdatasync":
        this.#syncEnded(call, begunSync, result);
        break;
      case "openat":
      case "open":
      case "creat":
        this.#open(call, equals, result);
        break;
      default:
        if (name === "mmap" || result === 0) this.#change(name, call.subarray(0, equals));
        else if (result > 0) this.#isImpossible(`${name} returned ${result}`);
    }
  }

  /**
   * Of a thread that is killed strace may print whatever is in the register of the result: nobody was told anything, as with
   * `= ?`. What the call did to the page cache is left out, as if it had not come to that. Of a thread that goes on it is an error.
   */
  #isImpossible(message: string): void {
    this.#impossible.set(this.#thread, message);
  }

  #write(name: string, call: Buffer, written: number): void {
    const { descriptor, path: full } = descriptorOf(call);
    const path = this.#below(full);
    if (path === undefined || !(written > 0)) return;
    const data = stringsOf(call, name === "write" || name === "pwrite64" ? 1 : Number.MAX_SAFE_INTEGER);
    if (data.length < written) {
      this.#isImpossible(`${name} of ${written} bytes to ${path}: the trace has ${data.length}`);
      return;
    }
    let offset: number;
    if (name === "write" || name === "writev") {
      offset = this.#positions.get(descriptor) ?? 0;
      this.#positions.set(descriptor, offset + written);
    } else offset = Number(lastArgument(call));
    this.#take({ kind: "write", path, offset, data: data.subarray(0, written) });
  }

  #syncEnded(call: Buffer, begun: number, result: number): void {
    const path = this.#below(descriptorOf(call).path);
    // `= ?`: the process was killed in the call, and nobody was told anything.
    if (path === undefined || Number.isNaN(result)) return;
    if (result !== 0) {
      // An error that has a name was told to whoever called.
      const returned = call.toString("latin1", call.lastIndexOf(" = "));
      if (/^ = -1 E[A-Z]/.test(returned)) throw new Error(`fsync of ${path} failed while it was traced${returned}`);
      this.#isImpossible(`fsync of ${path} returned${returned}`);
      return;
    }
    let sync = begun;
    if (sync < 0) sync = this.#syncBegins(call);
    this.#take({ kind: "syncEnd", path, sync });
  }

  #open(call: Buffer, equals: number, result: number): void {
    const full = stringsOf(call.subarray(0, equals), 1).toString();
    if (full.startsWith(MARK_FOLDER)) this.#take({ kind: "mark", text: full.slice(MARK_FOLDER.length) });
    const path = this.#below(full);
    if (path === undefined || result < 0) return;
    if (result > DESCRIPTORS_MAX) {
      this.#isImpossible(`${path} was opened as descriptor ${result}`);
      return;
    }
    const flags = call.toString("latin1", call.lastIndexOf('"', equals), equals);
    if (flags.includes("O_APPEND")) throw new Error(`${path} is opened to append, which the model of files has not`);
    this.#positions.set(`${result}`, 0);
    this.#take({ kind: "open", path, creates: flags.includes("O_CREAT"), truncates: flags.includes("O_TRUNC") });
  }

  #change(name: string, call: Buffer): void {
    if (name === "mmap") this.#refuseMapping(call);
    else if (name === "io_uring_setup") throw new Error("io_uring is used: what it does to files can't be traced");
    else if (name === "ftruncate") this.#truncate(call);
    else this.#changeNames(name, call);
  }

  #truncate(call: Buffer): void {
    const path = this.#below(descriptorOf(call).path);
    if (path !== undefined) this.#take({ kind: "truncate", path, size: Number(lastArgument(call)) });
  }

  #changeNames(name: string, call: Buffer): void {
    const [path, to] = pathsOf(call).map((full) => this.#below(full));
    const changed = path ?? to ?? this.#below(descriptorOf(call).path);
    if (changed === undefined) return;
    const removesFolder = name === "rmdir" || (name === "unlinkat" && lastArgument(call).includes("REMOVEDIR"));
    if (path === undefined) throw new Error(`${name} of ${changed} is not in the model of files`);
    if (name === "mkdir" || name === "mkdirat") this.#take({ kind: "mkdir", path });
    else if (removesFolder) this.#take({ kind: "rmdir", path });
    else if (name === "unlink" || name === "unlinkat") this.#take({ kind: "unlink", path });
    else if (name.startsWith("rename") && to !== undefined) this.#take({ kind: "rename", path, to });
    else throw new Error(`${name} of ${changed} is not in the model of files`);
  }

  #refuseMapping(call: Buffer): void {
    const text = call.toString("latin1");
    if (!text.includes("PROT_WRITE") || !text.includes("MAP_SHARED")) return;
    const mapped = /, (\d+)<([^>]*)>, [^,]*$/.exec(text)?.[2];
    if (mapped === undefined || this.#below(unescaped(mapped)) === undefined) return;
    throw new Error(`${unescaped(mapped)} is written through a mapping: that can't be traced`);
  }

  /** The path within the folder; undefined for what lies elsewhere, and for files that have no name any more. */
  #below(path: string | undefined): string | undefined {
    if (path === undefined || path.endsWith("(deleted)")) return undefined;
    return path.startsWith(`${this.#folder}/`) ? path.slice(this.#folder.length + 1) : path === this.#folder ? "" : undefined;
  }
}

function isSync(name: string): boolean {
  return name === "fsync" || name === "fdatasync";
}

function nameOf(call: Buffer): string {
  return call.toString("latin1", 0, call.indexOf("("));
}

/** `17<\x2f\x74…>` as the first argument. */
function descriptorOf(call: Buffer): { descriptor: string; path: string | undefined } {
  const start = call.indexOf("(") + 1;
  const open = call.indexOf("<", start);
  const descriptor = call.toString("latin1", start, open < 0 ? start : open);
  if (!/^\d+$/.test(descriptor)) return { descriptor: "", path: undefined };
  const close = call.indexOf(">", open);
  const deleted = call.toString("latin1", close + 1, close + 10) === "(deleted)";
  return { descriptor, path: unescaped(call.toString("latin1", open + 1, close)) + (deleted ? "(deleted)" : "") };
}

function unescaped(text: string): string {
  return Buffer.from(text.replaceAll("\\x", ""), "hex").toString();
}

function lastArgument(call: Buffer): string {
  const text = call.toString("latin1", Math.max(call.lastIndexOf(","), 0) + 1);
  return text.slice(0, text.lastIndexOf(")")).trim();
}

/** The first so many strings, decoded, one after the other. */
function stringsOf(call: Buffer, count: number): Buffer {
  const pieces: Buffer[] = [];
  let at = call.indexOf(QUOTE);
  while (at >= 0 && pieces.length < count) {
    const end = call.indexOf(QUOTE, at + 1);
    pieces.push(decoded(call, at + 1, end));
    at = call.indexOf(QUOTE, end + 1);
  }
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}

function pathsOf(call: Buffer): string[] {
  const paths: string[] = [];
  for (let at = call.indexOf(QUOTE); at >= 0; ) {
    const end = call.indexOf(QUOTE, at + 1);
    paths.push(decoded(call, at + 1, end).toString());
    at = call.indexOf(QUOTE, end + 1);
  }
  return paths;
}

/** `\x2f\x74` → bytes. */
function decoded(call: Buffer, from: number, to: number): Buffer {
  const bytes = Buffer.allocUnsafe((to - from) / 4);
  for (let n = 0, at = from + 2; n < bytes.length; n++, at += 4) bytes[n] = (HEX[call[at]!]! << 4) | HEX[call[at + 1]!]!;
  return bytes;
}
