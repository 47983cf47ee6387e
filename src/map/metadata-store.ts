/**
 * Metadata on the drives of a group, kept more than once.
 *
 * Documents (small, JSON) are written to every online drive, because each drive must be able to say what it belongs
 * to. The map (log, pages, checkpoint) is written to as many drives as make it survive what the data survives: the
 * level's tolerance + 1, the first positions of the group. (Of RAID-10 these are a pair: without both, no data either.)
 *
 * Runs on: the owning director's thread.
 * Invariant: what `put…` wrote is durable on every online drive concerned when it resolves; a drive that could not
 * take it is lost, on record (for documents: the record follows).
 */
import type { Drive, MetadataOperation, MetadataPage } from "../../drivers/drive/drive.ts";
import { keyAfter, METADATA_ENTRY_OVERHEAD_BYTES, METADATA_KEY_CHARS_MAX } from "../../drivers/drive/drive-checks.ts";
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { GroupFailedError, isFenced, type RaidGroup } from "../raid/raid-group.ts";

const SCAN_BYTES = 256 * 1024;
/** A key and what it weighs beside its characters. */
const KEY_BYTES_MAX = METADATA_KEY_CHARS_MAX + METADATA_ENTRY_OVERHEAD_BYTES;

export class MetadataStore {
  readonly group: RaidGroup;

  constructor(group: RaidGroup) {
    this.group = group;
  }

  /** Positions that get the map. */
  get mapPositions(): number[] {
    return this.group.positions.slice(0, this.group.level.tolerance + 1);
  }

  /**
   * Waits for no record of a loss: such a record is a document itself.
   * @param more - what else changes with it, in the same batch
   */
  putDocument(key: string, document: unknown, more: readonly MetadataOperation[] = []): Promise<void> {
    const operations: MetadataOperation[] = [{ type: "put", key, value: encodeDocument(document) }, ...more];
    return this.group.onEachUnrecorded(this.group.positions, (drive) => drive.metadataBatch(operations));
  }

  /** The whole copies of a document on the online drives. */
  async documentCopies(key: string): Promise<unknown[]> {
    const values = await Promise.all(
      this.group.trustedMembers().map(async (member) => member.drive?.metadataGet(key).catch(() => undefined)),
    );
    return values
      .map((value) => (value === undefined ? undefined : decodeDocument(value)))
      .filter((document) => document !== undefined);
  }

  /** A document as the first trusted drive that can be read has it. */
  async documentBytes(key: string): Promise<Uint8Array | undefined> {
    for (const { drive } of this.group.trustedMembers()) {
      const value = await drive!.metadataGet(key).catch(ifNotFenced);
      if (value !== undefined && decodeDocument(value) !== undefined) return value;
    }
    return undefined;
  }

  putMap(operations: readonly MetadataOperation[]): Promise<void> {
    return this.#onEachMap((drive) => drive.metadataBatch(operations));
  }

  /** Whether any drive that is there has all of the map. */
  get hasMap(): boolean {
    return this.#withMap().length > 0;
  }

  /**
   * The copies of a map key on the drives that have it. Who can't be read is left out while another has a copy; else nobody
   * knows whether there is one, and it is asked once more: who can't be read then is lost.
   * @throws GroupFailedError when too many are lost by that. What can't be read is never taken for what is not there.
   */
  async mapCopies(key: string): Promise<Uint8Array[]> {
    let unread = false;
    const answers = await Promise.all(
      this.#mapDrives().map((drive) =>
        drive.metadataGet(key).catch((): undefined => {
          unread = true;
        }),
      ),
    );
    const copies = answers.filter((copy) => copy !== undefined);
    if (copies.length > 0 || !unread) return copies;
    await this.#readEachMap(async (drive) => {
      const copy = await drive.metadataGet(key);
      if (copy !== undefined) copies.push(copy);
    });
    return copies;
  }

  /** The copies of a map key by position; undefined where it is not there or can't be read. */
  async mapCopiesAt(key: string): Promise<Map<number, Uint8Array | undefined>> {
    const found = new Map<number, Uint8Array | undefined>();
    await Promise.all(
      this.#withMap().map(async ({ position, drive }) => {
        found.set(position, await drive.metadataGet(key).catch(ifNotFenced));
      }),
    );
    if (found.size === 0) throw new GroupFailedError(this.group);
    return found;
  }

  /** Some entries of a range from the map drives other than `except`, from the first of them that can be read. */
  async pageOfMap(range: { from: string; below: string }, except: Drive): Promise<MetadataPage> {
    for (const { drive } of this.#withMap()) {
      if (drive === except) continue;
      const page = await drive.metadataScan({ ...range, bytesMax: SCAN_BYTES }).catch(ifNotFenced);
      if (page !== undefined) return page;
    }
    throw new GroupFailedError(this.group);
  }

  /** The drives that have all of the map. */
  #withMap(): { readonly position: number; readonly drive: Drive }[] {
    return this.mapPositions.flatMap((position) => {
      const drive = this.group.withMap(position);
      return drive === undefined ? [] : [{ position, drive }];
    });
  }

  /** Changes the map on every drive that gets it; one that can't take it is lost. */
  async #onEachMap(change: (drive: Drive) => Promise<void>): Promise<void> {
    const formers = this.mapPositions.map(async (position) => {
      const drive = this.group.formerWithMap(position);
      if (drive !== undefined) await this.group.onFormer(position, drive, change);
    });
    await Promise.all([this.group.onEach(this.mapPositions, change), ...formers]);
  }

  /** Reads from each drive that has all of the map; one that can't be read is lost. @throws GroupFailedError when too many are */
  async #readEachMap(read: (drive: Drive) => Promise<void>): Promise<void> {
    const one = ({ position, drive }: { readonly position: number; readonly drive: Drive }): Promise<void> =>
      read(drive).catch((error: unknown) => this.#lose(position, error, drive));
    await Promise.all(this.#withMap().map(one));
    if (!this.hasMap || (!this.group.isReadOnly && this.group.state === "failed")) throw new GroupFailedError(this.group);
  }

  #lose(position: number, error: unknown, drive: Drive): Promise<void> {
    if (isFenced(error)) throw error;
    return this.group.lose(position, error, drive);
  }

  /** All entries of a range, for each map drive that can be read; one that can't is lost. */
  async scanMap(range: { from: string; below: string }): Promise<Map<Drive, Map<string, Uint8Array>>> {
    const found = new Map<Drive, Map<string, Uint8Array>>();
    await this.#readEachMap(async (drive) => {
      const entries = new Map<string, Uint8Array>();
      let from = range.from;
      for (;;) {
        const page = await drive.metadataScan({ from, below: range.below, bytesMax: SCAN_BYTES });
        for (const [key, value] of page.entries) entries.set(key, value);
        const last = page.entries.at(-1);
        if (!page.more || last === undefined) break;
        from = keyAfter(last[0]);
      }
      found.set(drive, entries);
    });
    return found;
  }

  /** Writes to each map drive what it lacks, one batch for each operation; one that can't be written is lost. */
  completeMap(missing: ReadonlyMap<Drive, readonly MetadataOperation[]>): Promise<void> {
    return this.#onEachMap(async (drive) => {
      for (const operation of missing.get(drive) ?? []) await drive.metadataBatch([operation]);
    });
  }

  /** The first key of a range on any of the map drives, whose value has about so many bytes; one that can't be read is lost. */
  async firstMapKey(range: { from: string; below: string }, valueBytes: number): Promise<string | undefined> {
    let first: string | undefined;
    await this.#readEachMap(async (drive) => {
      const [entry] = (await drive.metadataScan({ ...range, bytesMax: valueBytes + KEY_BYTES_MAX })).entries;
      if (entry !== undefined && (first === undefined || entry[0] < first)) first = entry[0];
    });
    return first;
  }

  /** Removes a range from the map drives, in batches of bounded size. */
  async deleteMapRange(range: { from: string; below: string }): Promise<void> {
    await this.#onEachMap((drive) => deleteRange(drive, range));
  }

  #mapDrives(): Drive[] {
    const drives = this.#withMap().map(({ drive }) => drive);
    if (drives.length === 0) throw new GroupFailedError(this.group);
    return drives;
  }
}

/** Removes a range of a drive's metadata, in batches of bounded size. @throws DriveError */
export async function deleteRange(drive: Drive, range: { from: string; below: string }): Promise<void> {
  let { from } = range;
  for (;;) {
    const page = await drive.metadataScan({ from, below: range.below, bytesMax: SCAN_BYTES });
    const last = page.entries.at(-1);
    if (last === undefined) return;
    await drive.metadataBatch(page.entries.map(([key]) => ({ type: "delete", key })));
    if (!page.more) return;
    // From the beginning again, LevelDB would pass over everything that was deleted so far.
    from = keyAfter(last[0]);
  }
}

function ifNotFenced(error: unknown): undefined {
  if (isFenced(error)) throw error;
  return undefined;
}

/** Four bytes of checksum, then JSON. */
export function encodeDocument(document: unknown): Uint8Array {
  const json = Buffer.from(JSON.stringify(document), "utf8");
  const bytes = Buffer.alloc(4 + json.length);
  bytes.writeUInt32LE(dataChecksum(json), 0);
  json.copy(bytes, 4);
  return bytes;
}

/** The document, or undefined when the bytes are damaged. */
export function decodeDocument(value: Uint8Array): unknown {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.length < 4 || bytes.readUInt32LE(0) !== dataChecksum(bytes.subarray(4))) return undefined;
  try {
    return JSON.parse(bytes.toString("utf8", 4));
  } catch {
    return undefined;
  }
}
