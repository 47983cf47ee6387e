/**
 * Metadata on the drives of a group, kept more than once.
 *
 * Documents (small, JSON) are written to every online drive, because each drive must be able to say what it belongs
 * to. The map (log, pages, checkpoint) is written to as many drives as make it survive what the data survives:
 * tolerance + 1, the first positions of the group.
 *
 * Runs on: the owning director's thread.
 * Invariant: what `put…` wrote is durable on every online drive concerned when it resolves; a drive that could not
 * take it is lost, on record (for documents: the record follows).
 */
import type { Drive, MetadataOperation } from "../../drivers/drive/drive.ts";
import { dataCrc32c } from "../../drivers/shared-memory/data-crc32c.ts";
import { GroupFailedError, type RaidGroup } from "../raid/raid-group.ts";

const SCAN_BYTES = 256 * 1024;

export class MetadataStore {
  readonly group: RaidGroup;

  constructor(group: RaidGroup) {
    this.group = group;
  }

  /** Positions that hold the map. */
  get mapPositions(): number[] {
    return this.group.positions.slice(0, this.group.tolerance + 1);
  }

  /** Waits for no record of a loss: such a record is a document itself. */
  putDocument(key: string, document: unknown): Promise<void> {
    const operations: MetadataOperation[] = [{ type: "put", key, value: encodeDocument(document) }];
    return this.group.onEachUnrecorded(this.group.positions, (drive) => drive.metadataBatch(operations));
  }

  /** The whole copies of a document on the online drives. */
  async documentCopies(key: string): Promise<unknown[]> {
    const values = await Promise.all(
      this.group.onlineMembers().map(async (member) => member.drive?.metadataGet(key).catch(() => undefined)),
    );
    return values
      .map((value) => (value === undefined ? undefined : decodeDocument(value)))
      .filter((document) => document !== undefined);
  }

  putMap(operations: readonly MetadataOperation[]): Promise<void> {
    return this.group.onEach(this.mapPositions, (drive) => drive.metadataBatch(operations));
  }

  /** The copies of a map key on the drives that have it; unreadable ones are left out. */
  async mapCopies(key: string): Promise<Uint8Array[]> {
    const copies = await Promise.all(this.#mapDrives().map((drive) => drive.metadataGet(key).catch(() => undefined)));
    return copies.filter((copy) => copy !== undefined);
  }

  /** All entries of a range, for each map drive that can be read; one that can't is lost. */
  async scanMap(range: { from: string; below: string }): Promise<Map<Drive, Map<string, Uint8Array>>> {
    const found = new Map<Drive, Map<string, Uint8Array>>();
    await this.group.onEach(this.mapPositions, async (drive) => {
      const entries = new Map<string, Uint8Array>();
      let from = range.from;
      for (;;) {
        const page = await drive.metadataScan({ from, below: range.below, bytesMax: SCAN_BYTES });
        for (const [key, value] of page.entries) entries.set(key, value);
        const last = page.entries.at(-1);
        if (!page.more || last === undefined) break;
        // The next key in ASCII order after the last one.
        from = `${last[0]} `;
      }
      found.set(drive, entries);
    });
    return found;
  }

  /** Removes a range from the map drives, in batches of bounded size. */
  async deleteMapRange(range: { from: string; below: string }): Promise<void> {
    await this.group.onEach(this.mapPositions, async (drive) => {
      for (;;) {
        const page = await drive.metadataScan({ ...range, bytesMax: SCAN_BYTES });
        if (page.entries.length === 0) return;
        await drive.metadataBatch(page.entries.map(([key]) => ({ type: "delete", key })));
        if (!page.more) return;
      }
    });
  }

  #mapDrives(): Drive[] {
    const drives = this.mapPositions.map((position) => this.group.drive(position)).filter((drive) => drive !== undefined);
    if (drives.length === 0) throw new GroupFailedError(this.group);
    return drives;
  }
}

/** Four bytes of checksum, then JSON. */
export function encodeDocument(document: unknown): Uint8Array {
  const json = Buffer.from(JSON.stringify(document), "utf8");
  const bytes = Buffer.alloc(4 + json.length);
  bytes.writeUInt32LE(dataCrc32c(json), 0);
  json.copy(bytes, 4);
  return bytes;
}

/** The document, or undefined when the bytes are damaged. */
export function decodeDocument(value: Uint8Array): unknown {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.length < 4 || bytes.readUInt32LE(0) !== dataCrc32c(bytes.subarray(4))) return undefined;
  try {
    return JSON.parse(bytes.toString("utf8", 4));
  } catch {
    return undefined;
  }
}
