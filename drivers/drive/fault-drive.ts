/**
 * A drive with faults on command: real ones for whoever stands above, set and taken away while it runs (drive-faults.ts).
 *
 * Runs on: where its drive runs. What is damaged is damaged in the drive below, and stays so when the rules are gone:
 * only a drive that lets its strips be changed (DamageableDrive) can be given torn, misdirected and flipped writes, and
 * strips that are gone.
 */
import type { GlobalMemory } from "../shared-memory/global-memory.ts";
import {
  type Drive,
  DriveError,
  type DriveIdentity,
  type LocalDrive,
  type MetadataOperation,
  type MetadataPage,
  type MetadataRange,
  type PartsRead,
  type StripRead,
  type StripWrite,
  type ZoneNumber,
  type ZoneStat,
} from "./drive.ts";
import { DriveFaults, type FaultTarget, type RuleOf } from "./drive-faults.ts";
import { checksumsWanted, placeOfByte, refreshChecksums, touchesBytes } from "./strip-parts.ts";

/** A drive whose strips can be changed behind the contract's back: the means of faults on command, and of nothing else. */
export interface DamageableDrive extends Drive {
  /** Puts what `change` makes of a strip (undefined: it is not there) in its place. Done also where there is no such zone. */
  changeStrip(zone: ZoneNumber, strip: number, change: (held: Buffer | undefined) => Uint8Array | undefined): Promise<void>;
}

export class FaultDrive implements LocalDrive {
  readonly name: string;
  readonly #drive: Drive;
  /** The same drive, if it is in this thread. */
  readonly #local: LocalDrive | undefined;
  readonly #damageable: DamageableDrive | undefined;
  readonly #faults: DriveFaults;
  readonly #global: GlobalMemory;

  constructor(drive: Drive | LocalDrive | DamageableDrive, faults: DriveFaults, global: GlobalMemory) {
    this.name = drive.name;
    this.#drive = drive;
    this.#local = "tryReadParts" in drive ? drive : undefined;
    this.#damageable = "changeStrip" in drive ? drive : undefined;
    this.#faults = faults;
    this.#global = global;
  }

  identify(): Promise<DriveIdentity> {
    return this.#reached({ operation: "other" }, () => this.#drive.identify());
  }

  open(epoch: number): Promise<void> {
    this.#faults.refused.owned(epoch);
    return this.#reached({ operation: "other" }, () => this.#drive.open(epoch));
  }

  listZones(): Promise<readonly ZoneStat[]> {
    return this.#reached({ operation: "other" }, () => this.#drive.listZones());
  }

  createZone(zone: ZoneNumber): Promise<void> {
    return this.#zoneOperation(zone, true, () => this.#drive.createZone(zone));
  }

  finishZone(zone: ZoneNumber): Promise<void> {
    this.#faults.refused.forget(zone);
    return this.#zoneOperation(zone, false, () => this.#drive.finishZone(zone));
  }

  resetZone(zone: ZoneNumber): Promise<void> {
    this.#faults.refused.forget(zone);
    return this.#zoneOperation(zone, false, () => this.#drive.resetZone(zone));
  }

  forgetZones(): Promise<void> {
    return this.#reached({ operation: "other" }, () => this.#drive.forgetZones());
  }

  writeStrips(write: StripWrite): Promise<void> {
    const target: FaultTarget = { operation: "write", zone: write.zone, firstStrip: write.firstStrip, count: write.count };
    return this.#faults.inOrder(write.zone, () =>
      this.#reached(target, () => this.#faults.refused.inTurn(this.name, write, () => this.#write(write, target))),
    );
  }

  async #write(write: StripWrite, target: FaultTarget): Promise<void> {
    if (!this.#faults.active) return this.#drive.writeStrips(write);
    this.#refuse(target, true);
    if (this.#faults.hit("lostWrite", target) !== undefined) return;
    const misdirected = this.#faults.hit("misdirectedWrite", target);
    if (misdirected !== undefined) return this.#misdirect(write, misdirected);
    const torn = this.#faults.hit("tornWrite", target);
    if (torn !== undefined) return this.#tear(write, torn);
    await this.#unknown(target, () => this.#drive.writeStrips(write));
    await this.#flipStored(write);
  }

  readStrips(read: StripRead): Promise<void> {
    const target: FaultTarget = { operation: "read", zone: read.zone, firstStrip: read.firstStrip, count: read.count };
    return this.#reached(target, async () => {
      if (!this.#faults.active) return this.#drive.readStrips(read);
      this.#failRead(target);
      for (let index = 0; index < read.count; index++) await this.#loseStrip(read.zone, read.firstStrip + index);
      await this.#drive.readStrips(read);
      await this.#flipRead(read);
    });
  }

  readParts(read: PartsRead): Promise<void> {
    const target: FaultTarget = {
      operation: "read",
      zone: read.zone,
      firstStrip: read.strip,
      count: 1,
      touches: (firstByte, byteCount) => touchesBytes(this.#global, read, firstByte, byteCount),
    };
    return this.#reached(target, async () => {
      if (!this.#faults.active) return this.#drive.readParts(read);
      this.#failRead(target);
      await this.#loseStrip(read.zone, read.strip);
      const wanted = checksumsWanted(this.#global, read);
      await this.#drive.readParts(read);
      await this.#flipParts(read, target, wanted);
    });
  }

  tryReadParts(read: PartsRead): boolean {
    return !this.#faults.active && this.#local !== undefined && this.#local.tryReadParts(read);
  }

  async hasStrips(write: StripWrite): Promise<boolean> {
    return this.#local !== undefined && this.#local.hasStrips(write);
  }

  metadataGet(key: string): Promise<Uint8Array | undefined> {
    const target: FaultTarget = { operation: "metadataRead", keys: [key] };
    return this.#reached(target, () => {
      this.#failRead(target);
      return this.#drive.metadataGet(key);
    });
  }

  metadataBatch(operations: readonly MetadataOperation[]): Promise<void> {
    const keys = operations.map(({ key }) => key);
    const target: FaultTarget = { operation: "metadataWrite", keys };
    return this.#reached(target, async () => {
      if (!this.#faults.active) return this.#drive.metadataBatch(operations);
      this.#refuse(target, true);
      if (this.#faults.hit("lostWrite", target) !== undefined) return;
      const reverted = this.#faults.hit("revertedKey", target);
      const taken = reverted === undefined ? operations : revertedBatch(operations, reverted);
      await this.#unknown(target, () => this.#drive.metadataBatch(taken));
    });
  }

  metadataScan(range: MetadataRange): Promise<MetadataPage> {
    // Which keys it meets shows only afterwards: those that bound it stand for them.
    const target: FaultTarget = { operation: "metadataRead", keys: [range.from] };
    return this.#reached(target, () => {
      this.#failRead(target);
      return this.#drive.metadataScan(range);
    });
  }

  flush(): Promise<void> {
    return this.#reached({ operation: "other" }, () => this.#drive.flush());
  }

  close(): Promise<void> {
    return this.#drive.close();
  }

  // — what goes wrong —

  async #reached<T>(target: FaultTarget, operation: () => T | Promise<T>): Promise<T> {
    if (!this.#faults.active) return operation();
    await this.#faults.wait(target);
    if (this.#faults.hit("unreachable", target) !== undefined) throw this.#error("unreachable", "is unreachable");
    return operation();
  }

  #zoneOperation(zone: ZoneNumber, takesRoom: boolean, operation: () => Promise<void>): Promise<void> {
    const target: FaultTarget = { operation: "zone", zone };
    return this.#reached(target, () => {
      this.#refuse(target, takesRoom);
      return this.#unknown(target, operation);
    });
  }

  #failRead(target: FaultTarget): void {
    if (this.#faults.hit("readError", target) !== undefined) throw this.#error("unrecoveredRead", "read error");
  }

  #refuse(target: FaultTarget, takesRoom: boolean): void {
    if (this.#faults.hit("writeError", target) !== undefined) throw this.#error("writeFailed", "write error");
    if (takesRoom && this.#faults.hit("noSpace", target) !== undefined) throw this.#error("noSpace", "no space");
  }

  async #unknown(target: FaultTarget, operation: () => Promise<void>): Promise<void> {
    const rule = this.#faults.hit("unknownOutcome", target);
    if (rule === undefined) return operation();
    if (rule.done ?? this.#faults.fraction() < 0.5) await operation();
    throw this.#error("unknown", "no answer");
  }

  #error(kind: DriveError["kind"], what: string): DriveError {
    return new DriveError(kind, this.name, `${what} (fault on command)`);
  }

  async #misdirect(write: StripWrite, rule: RuleOf<"misdirectedWrite">): Promise<void> {
    const { stripBytes, stripsPerZone } = await this.#drive.identify();
    const bytes = Buffer.from(this.#global.view(write.address, stripBytes));
    const zone = rule.toZone ?? write.zone;
    // Not the place that it was meant for, whatever the seed says.
    const step = 1 + Math.floor(this.#faults.fraction() * (stripsPerZone - 1));
    const strip = rule.toStrip ?? (zone === write.zone ? (write.firstStrip + step) % stripsPerZone : write.firstStrip);
    await this.#damage(zone, strip, () => bytes);
    if (write.count === 1) return;
    const rest = { firstStrip: write.firstStrip + 1, count: write.count - 1, address: write.address + write.strideBytes };
    await this.#drive.writeStrips({ ...write, ...rest });
  }

  async #tear(write: StripWrite, rule: RuleOf<"tornWrite">): Promise<void> {
    const { stripBytes } = await this.#drive.identify();
    const whole = Math.min(rule.strips ?? 0, write.count);
    const part = whole < write.count ? Math.min(rule.bytes ?? 0, stripBytes) : 0;
    const stored = whole + (part > 0 ? 1 : 0);
    if (stored > 0) await this.#drive.writeStrips({ ...write, count: stored });
    if (part > 0 && part < stripBytes) {
      await this.#damage(write.zone, write.firstStrip + whole, (held) => held?.fill(0, part));
    }
    const report = rule.report ?? "done";
    if (report !== "done") throw this.#error(report, "torn write");
  }

  async #flipStored(write: StripWrite): Promise<void> {
    for (let index = 0; index < write.count; index++) {
      const target: FaultTarget = { operation: "write", zone: write.zone, firstStrip: write.firstStrip + index, count: 1 };
      const rule = this.#flip("write", target);
      if (rule === undefined) continue;
      await this.#damage(write.zone, write.firstStrip + index, (held) => {
        if (held !== undefined) flipBit(held, this.#offsetOf(rule, held.length), this.#bitOf(rule));
        return held;
      });
    }
  }

  async #flipRead(read: StripRead): Promise<void> {
    for (let index = 0; index < read.count; index++) {
      const rule = this.#flip("read", { operation: "read", zone: read.zone, firstStrip: read.firstStrip + index, count: 1 });
      if (rule === undefined) continue;
      const { stripBytes } = await this.#drive.identify();
      const at = read.address + index * read.strideBytes + this.#offsetOf(rule, stripBytes);
      flipBit(this.#global.u8, at, this.#bitOf(rule));
    }
  }

  async #flipParts(read: PartsRead, target: FaultTarget, wanted: readonly boolean[]): Promise<void> {
    const rule = this.#flip("read", target);
    if (rule === undefined) return;
    const { stripBytes } = await this.#drive.identify();
    const at = placeOfByte(this.#global, read, this.#offsetOf(rule, stripBytes));
    if (at < 0) return;
    flipBit(this.#global.u8, at, this.#bitOf(rule));
    refreshChecksums(this.#global, read, wanted);
  }

  #flip(on: "read" | "write", target: FaultTarget): RuleOf<"bitFlip"> | undefined {
    return this.#faults.hit("bitFlip", target, (rule) => (rule.on ?? "read") === on);
  }

  #offsetOf(rule: RuleOf<"bitFlip">, stripBytes: number): number {
    return rule.offsetBytes === undefined ? Math.floor(this.#faults.fraction() * stripBytes) : rule.offsetBytes % stripBytes;
  }

  #bitOf(rule: RuleOf<"bitFlip">): number {
    return (rule.bit ?? Math.floor(this.#faults.fraction() * 8)) & 7;
  }

  async #loseStrip(zone: ZoneNumber, strip: number): Promise<void> {
    const rule = this.#faults.hit("revertedKey", { operation: "read", zone, firstStrip: strip, count: 1 });
    if (rule !== undefined) await this.#damage(zone, strip, () => undefined);
  }

  #damage(zone: ZoneNumber, strip: number, change: (held: Buffer | undefined) => Uint8Array | undefined): Promise<void> {
    if (this.#damageable === undefined) throw new DriveError("invalid", this.name, "its strips can't be damaged on command");
    return this.#damageable.changeStrip(zone, strip, change);
  }
}

function flipBit(bytes: Uint8Array, at: number, bit: number): void {
  bytes[at]! ^= 1 << bit;
}

/** The batch without the keys that revert, or with their removal. */
function revertedBatch(operations: readonly MetadataOperation[], rule: RuleOf<"revertedKey">): MetadataOperation[] {
  const reverted = new Set(
    DriveFaults.keysFor(
      rule,
      operations.map(({ key }) => key),
    ),
  );
  const kept = operations.filter(({ key }) => !reverted.has(key));
  if (rule.to !== "absent") return kept;
  return [...kept, ...[...reverted].map((key): MetadataOperation => ({ type: "delete", key }))];
}
