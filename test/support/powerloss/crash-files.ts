/**
 * Files and folders as a disk has them: what is there for sure, and what a power loss may leave of what came since.
 *
 * The model is that of ext4 and xfs, taken at the least that they promise:
 *  - A page of 4 KiB may be on the disk as any write since the last sync left it, one sector of 512 bytes so and the next
 *    otherwise; pages in any order. A file's size may be any that it had since.
 *  - Changes of one folder reach the disk in their order; those of different folders in any.
 *  - fsync and fdatasync of a file make what was written before they began durable, and the file's own entry in its folder
 *    with all that happened in that folder before it was made (both file systems commit it with the file; LevelDB 1.20
 *    relies on it for the logs that it goes on to). The folder's entry in its own parent they do not.
 *  - fsync of a folder makes the changes in it durable that had ended before it began.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { FileEvent } from "./system-calls.ts";

export const PAGE_BYTES = 4096;

interface PageVersion {
  readonly change: number;
  readonly bytes: Buffer;
}

/** Invariant: `versions` and `sizes` rise in `change`, and are what came since the durable state. */
export class CrashFile {
  /** What is on the disk for sure. */
  durable: Buffer;
  readonly versions = new Map<number, PageVersion[]>();
  readonly sizes: { readonly change: number; readonly size: number }[] = [];
  /** Writes and truncations so far. */
  changes = 0;
  #size: number;
  parent: CrashFolder | undefined;
  /** The change of `parent` by which it got its entry there. */
  entryChange = 0;

  constructor(durable: Buffer = Buffer.alloc(0)) {
    this.durable = durable;
    this.#size = durable.length;
  }

  write(offset: number, data: Buffer): void {
    this.changes += 1;
    for (let done = 0; done < data.length; ) {
      const at = offset + done;
      const page = Math.floor(at / PAGE_BYTES);
      const within = at % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - within, data.length - done);
      const bytes = Buffer.from(this.#page(page));
      data.copy(bytes, within, done, done + count);
      this.#pushPage(page, bytes);
      done += count;
    }
    if (offset + data.length > this.#size) this.#setSize(offset + data.length);
  }

  truncate(size: number): void {
    if (size === this.#size) return;
    this.changes += 1;
    for (let page = Math.floor(size / PAGE_BYTES); page * PAGE_BYTES < this.#size; page++) {
      const bytes = Buffer.from(this.#page(page));
      bytes.fill(0, Math.max(0, size - page * PAGE_BYTES));
      this.#pushPage(page, bytes);
    }
    this.#setSize(size);
  }

  /** What came up to `change` is durable now. */
  harden(change: number): void {
    let size = this.durable.length;
    while (this.sizes.length > 0 && this.sizes[0]!.change <= change) size = this.sizes.shift()!.size;
    const pages = [...this.versions].filter(([, versions]) => versions[0]!.change <= change);
    if (size !== this.durable.length) {
      const grown = Buffer.alloc(size);
      grown.set(this.durable.subarray(0, size));
      this.durable = grown;
    }
    for (const [page, versions] of pages) {
      let newest: PageVersion | undefined;
      while (versions.length > 0 && versions[0]!.change <= change) newest = versions.shift();
      if (versions.length === 0) this.versions.delete(page);
      const within = newest!.bytes.subarray(0, Math.max(0, size - page * PAGE_BYTES));
      if (within.length > 0) this.durable.set(within, page * PAGE_BYTES);
    }
  }

  #page(page: number): Buffer {
    const newest = this.versions.get(page)?.at(-1);
    if (newest !== undefined) return newest.bytes;
    const bytes = Buffer.alloc(PAGE_BYTES);
    bytes.set(this.durable.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES));
    return bytes;
  }

  #pushPage(page: number, bytes: Buffer): void {
    const versions = this.versions.get(page);
    if (versions === undefined) this.versions.set(page, [{ change: this.changes, bytes }]);
    else versions.push({ change: this.changes, bytes });
  }

  #setSize(size: number): void {
    this.#size = size;
    this.sizes.push({ change: this.changes, size });
  }
}

type Entries = Map<string, CrashFile | CrashFolder>;
type FolderChange = (entries: Entries) => void;

export class CrashFolder {
  /** On the disk for sure. */
  readonly durable: Entries = new Map();
  /** As the process sees it. */
  readonly current: Entries = new Map();
  /** What came since the durable state, in order. */
  readonly pending: FolderChange[] = [];
  /** So many changes are durable. */
  hardened = 0;

  change(change: FolderChange): void {
    change(this.current);
    this.pending.push(change);
  }

  get changes(): number {
    return this.hardened + this.pending.length;
  }

  harden(changes: number): void {
    while (this.hardened < changes && this.pending.length > 0) {
      this.pending.shift()!(this.durable);
      this.hardened += 1;
    }
  }
}

export class CrashFiles {
  readonly root = new CrashFolder();
  /** What a sync that is under way will have made durable. */
  readonly #syncs = new Map<number, { node: CrashFile | CrashFolder; changes: number }>();

  /** A folder that has been on the disk for long. */
  static load(folder: string): CrashFiles {
    const files = new CrashFiles();
    load(folder, files.root);
    return files;
  }

  apply(event: FileEvent): void {
    switch (event.kind) {
      case "write":
        this.#file(event.path).write(event.offset, event.data);
        break;
      case "truncate":
        this.#file(event.path).truncate(event.size);
        break;
      case "open":
        this.#open(event.path, event);
        break;
      case "mkdir":
        this.#make(event.path, new CrashFolder());
        break;
      case "unlink":
      case "rmdir":
        this.#remove(event.path);
        break;
      case "rename":
        this.#rename(event.path, event.to);
        break;
      case "syncBegin":
        this.#syncBegan(event.path, event.sync);
        break;
      case "syncEnd":
        this.#synced(event.sync);
        break;
      case "mark":
        break;
    }
  }

  /** A file that has lost its name is of no interest: whoever syncs it still has it open. */
  #syncBegan(path: string, sync: number): void {
    const node = this.#find(path);
    if (node !== undefined) this.#syncs.set(sync, { node, changes: node.changes });
  }

  #synced(sync: number): void {
    const begun = this.#syncs.get(sync);
    if (begun === undefined) return;
    this.#syncs.delete(sync);
    const { node, changes } = begun;
    node.harden(changes);
    if (node instanceof CrashFile) node.parent?.harden(node.entryChange);
  }

  #open(path: string, { creates, truncates }: { creates: boolean; truncates: boolean }): void {
    if (this.#find(path) === undefined) {
      if (!creates) throw new Error(`${path} was opened, and the model has no such file`);
      this.#make(path, new CrashFile());
    } else if (truncates) this.#file(path).truncate(0);
  }

  #make(path: string, node: CrashFile | CrashFolder): void {
    const { folder, name } = this.#place(path);
    folder.change((entries) => void entries.set(name, node));
    if (node instanceof CrashFile) {
      node.parent = folder;
      node.entryChange = folder.changes;
    }
  }

  #remove(path: string): void {
    const { folder, name } = this.#place(path);
    folder.change((entries) => void entries.delete(name));
  }

  #rename(path: string, to: string): void {
    const from = this.#place(path);
    const target = this.#place(to);
    if (from.folder !== target.folder) throw new Error(`${path} is moved to another folder: that is not in the model`);
    const node = from.folder.current.get(from.name);
    if (node === undefined) throw new Error(`${path} is renamed, and the model has no such file`);
    from.folder.change((entries) => {
      entries.delete(from.name);
      entries.set(target.name, node);
    });
  }

  #file(path: string): CrashFile {
    const node = this.#find(path);
    if (!(node instanceof CrashFile)) throw new Error(`${path} is no file of the model`);
    return node;
  }

  #find(path: string): CrashFile | CrashFolder | undefined {
    let node: CrashFile | CrashFolder | undefined = this.root;
    if (path === "") return node;
    for (const name of path.split("/")) {
      if (!(node instanceof CrashFolder)) return undefined;
      node = node.current.get(name);
    }
    return node;
  }

  #place(path: string): { folder: CrashFolder; name: string } {
    const slash = path.lastIndexOf("/");
    const folder = this.#find(slash < 0 ? "" : path.slice(0, slash));
    if (!(folder instanceof CrashFolder)) throw new Error(`${path} has no folder in the model`);
    return { folder, name: path.slice(slash + 1) };
  }
}

function load(path: string, folder: CrashFolder): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    let node: CrashFile | CrashFolder;
    if (entry.isDirectory()) {
      node = new CrashFolder();
      load(join(path, entry.name), node);
    } else node = new CrashFile(readFileSync(join(path, entry.name)));
    folder.durable.set(entry.name, node);
    folder.current.set(entry.name, node);
  }
}
