/**
 * The target as one director shows it to its transports: LUN map, routing to the owner of each volume, and what a target
 * answers for LUNs where nothing is.
 *
 * Runs on: the director's thread. Owns: the LUN map; for each nexus of this director, whether it was told of a changed one; commands that wait for an owner.
 * Invariants:
 *  1. A task for a volume goes to its owner, with `task.volume` set; logical-unit state is kept there and nowhere else.
 *  2. Every submitted task completes exactly once; data-out frames of what is answered here are given back.
 *  3. What comes for a volume that changes owners waits for the next routing (held-tasks.ts), or is told 2/04/0A.
 */
import { counterBlock } from "../../drivers/shared-memory/counters.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import type { Routing } from "../control/contract.ts";
import type { FrameSource } from "../volume/block-io.ts";
import { planDataOut } from "./cdb/cdb-table.ts";
import { fieldValue } from "./cdb/field.ts";
import { INQUIRY } from "./cdb/inquiry.ts";
import { REPORT_LUNS } from "./cdb/report-luns.ts";
import { REPORT_TARGET_PORT_GROUPS } from "./cdb/report-target-port-groups.ts";
import { REQUEST_SENSE } from "./cdb/request-sense.ts";
import { senseParameterData } from "./commands/unit-state.ts";
import type { DeviceServer } from "./device-server.ts";
import { type Held, type HeldReset, HeldTasks } from "./held-tasks.ts";
import { type LunEntry, LunMap } from "./lun-map.ts";
import { reportLunsData } from "./report-luns-data.ts";
import { CHECK_CONDITION_SLOT, SCSI_COUNTERS } from "./scsi-counters.ts";
import { type SenseName, setCheckCondition } from "./sense.ts";
import { PERIPHERAL_DISK, PERIPHERAL_NONE, PERIPHERAL_NOT_CONNECTED, standardInquiry } from "./standard-inquiry.ts";
import { EXTENDED_HEADER_FORMAT } from "./target-port-groups.ts";
import {
  type DataOutPlan,
  type LogicalUnitServer,
  type NexusInfo,
  type NexusNumber,
  type ResetDone,
  type ScsiTask,
  STATUS,
} from "./task.ts";
import { vpdPage } from "./vpd/vpd-page.ts";

export interface TargetOptions {
  readonly directorIndex: number;
  /** All directors of the array, this one included. */
  readonly directorCount: number;
  readonly frames: FrameSource;
  readonly global: GlobalMemory;
  /** Serves the volumes that this director owns. */
  readonly local: DeviceServer;
  /** The channel to another director. */
  readonly remote: (directorIndex: number) => LogicalUnitServer;
}

const { slots } = SCSI_COUNTERS;

export class Target implements LogicalUnitServer {
  readonly #options: TargetOptions;
  readonly #counters: Float64Array;
  readonly #luns = new LunMap();
  /** Nexuses of this director: true while 3F/0E REPORTED LUNS DATA HAS CHANGED waits to be told. */
  readonly #nexuses = new Map<NexusNumber, { readonly info: NexusInfo; lunsChanged: boolean }>();
  readonly #held = new HeldTasks();
  readonly #onMoved: (task: ScsiTask) => void;

  constructor(options: TargetOptions) {
    this.#options = options;
    this.#onMoved = (task) => this.#hold(task);
    this.#counters = counterBlock(options.global, "scsi", options.directorIndex);
  }

  /** Takes new routing into force, here and at the device server. */
  setRouting(routing: Routing): void {
    this.#options.local.setRouting(routing);
    if (this.#luns.set(routing)) this.onLunMapChanged();
    for (const held of this.#held.takeAll()) this.#again(held);
  }

  /** Now and then, several times a second: ends what has waited too long for an owner. */
  tick(): void {
    if (this.#held.count === 0) return;
    for (const held of this.#held.takeExpired(this.#now)) {
      if ("cdb" in held) this.#notAccessible(held);
      else held.done(true, true);
    }
  }

  /** Commands that wait for an owner. */
  get held(): number {
    return this.#held.count;
  }

  /** A director came back, and knows no nexus of this one. */
  announceNexuses(director: LogicalUnitServer): void {
    for (const { info } of this.#nexuses.values()) director.nexusOpened(info);
  }

  /** Raises 3F/0E for every nexus of this director. */
  onLunMapChanged(): void {
    for (const nexus of this.#nexuses.values()) nexus.lunsChanged = true;
  }

  // — LogicalUnitServer —

  planDataOut(lun: number, cdb: Uint8Array, plan: DataOutPlan): void {
    const entry = this.#luns.get(lun);
    if (entry !== undefined) {
      planDataOut(cdb, entry.logicalBlockBytes, plan);
      return;
    }
    plan.bytes = 0; // nothing is written where no logical unit is
    plan.phase = 0;
  }

  submit(task: ScsiTask): void {
    task.heldSinceMicroseconds = 0;
    this.#route(task);
  }

  #route(task: ScsiTask): void {
    const opcode = task.cdb[0]!;
    if (opcode === REPORT_LUNS.opcode) {
      this.#reportLuns(task);
      return;
    }
    const entry = this.#luns.get(task.lun);
    if (entry === undefined) {
      this.#noLogicalUnit(task);
      return;
    }
    if (this.#nexuses.get(task.nexus)?.lunsChanged === true && opcode !== INQUIRY.opcode) {
      this.#reportLunsChanged(task);
      return;
    }
    task.volume = entry.volume;
    if (entry.access !== "active") {
      this.#inactive(task, entry);
      return;
    }
    task.onMoved = this.#onMoved;
    this.#server(entry.owner).submit(task);
  }

  // — volumes without an owner for the moment —

  /** What needs no owner is answered, the rest waits, or is told that there is no path. */
  #inactive(task: ScsiTask, { volume, access }: LunEntry): void {
    const { cdb } = task;
    const opcode = cdb[0]!;
    if (opcode === REPORT_TARGET_PORT_GROUPS.opcode && (cdb[1]! & 0x1f) === REPORT_TARGET_PORT_GROUPS.serviceAction) {
      const { fields } = REPORT_TARGET_PORT_GROUPS;
      const format = fieldValue(cdb, fields.parameterDataFormat);
      this.#begin(task, slots.report);
      if (format > EXTENDED_HEADER_FORMAT) this.#fail(task, "invalidFieldInCdb", fields.parameterDataFormat.byte);
      else this.#inline(task, this.#options.local.targetPortGroups(volume, format), fieldValue(cdb, fields.allocationLength));
    } else if (opcode === INQUIRY.opcode && (cdb[1]! & 0x01) === 0) {
      this.#begin(task, slots.inquiry);
      this.#inquireNothing(task, PERIPHERAL_DISK);
    } else if (opcode === REQUEST_SENSE.opcode || access === "unavailable") this.#notAccessible(task);
    else this.#hold(task);
  }

  #hold(held: Held): void {
    this.#counters[slots.commandsHeld]! += 1;
    if (this.#held.add(held, this.#now)) return;
    if ("cdb" in held) this.#notAccessible(held);
    else held.done(true, true);
  }

  #again(held: Held): void {
    if ("cdb" in held) this.#route(held);
    else this.#routeReset(held);
  }

  /** 2/04/0A or 2/04/0C: hosts try again, or another path. */
  #notAccessible(task: ScsiTask): void {
    const unavailable = this.#luns.get(task.lun)?.access === "unavailable";
    const reason = unavailable ? "targetPortInUnavailableState" : "accessStateTransition";
    this.#begin(task, slots.unknown);
    this.#failOrSense(task, reason);
  }

  get #now(): number {
    return this.#options.global.clock.nowMicroseconds();
  }

  resetLogicalUnit(nexus: NexusNumber, lun: number, done: ResetDone): void {
    this.#routeReset({ nexus, lun, done, heldSinceMicroseconds: 0 });
  }

  #routeReset(reset: HeldReset): void {
    const { nexus, lun, done } = reset;
    const entry = this.#luns.get(lun);
    if (entry === undefined) {
      done(false);
      return;
    }
    if (entry.access !== "active") {
      this.#hold(reset);
      return;
    }
    this.#server(entry.owner).resetLogicalUnit(nexus, lun, (exists, moved) => {
      if (moved === true) this.#hold(reset);
      else done(exists);
    });
  }

  nexusOpened(info: NexusInfo): void {
    this.#nexuses.set(info.nexus, { info, lunsChanged: false });
    for (let index = 0; index < this.#options.directorCount; index += 1) this.#server(index).nexusOpened(info);
  }

  nexusClosed(nexus: NexusNumber): void {
    this.#nexuses.delete(nexus);
    for (let index = 0; index < this.#options.directorCount; index += 1) this.#server(index).nexusClosed(nexus);
  }

  #server(directorIndex: number): LogicalUnitServer {
    return directorIndex === this.#options.directorIndex ? this.#options.local : this.#options.remote(directorIndex);
  }

  // — what the target answers itself —

  /** Answered at any LUN, whether there is a logical unit or not; clears 3F/0E (SPC-4 §6.33). */
  #reportLuns(task: ScsiTask): void {
    const { fields } = REPORT_LUNS;
    this.#begin(task, slots.report);
    const data = reportLunsData(fieldValue(task.cdb, fields.selectReport), this.#luns.luns);
    if (data === undefined) {
      this.#fail(task, "invalidFieldInCdb", fields.selectReport.byte);
      return;
    }
    this.#lunsTold(task.nexus);
    this.#inline(task, data, fieldValue(task.cdb, fields.allocationLength));
  }

  /**
   * INQUIRY says by its qualifier what is not there, REQUEST SENSE has the reason as data (SPC-4 §6.6.2, §6.39); anything
   * else is 5/25/00, or 2/04/03 where there is a unit whose pool did not come up.
   */
  #noLogicalUnit(task: ScsiTask): void {
    const { cdb } = task;
    const missing = this.#luns.isMissing(task.lun);
    const reason: SenseName = missing ? "manualInterventionRequired" : "logicalUnitNotSupported";
    this.#begin(task, cdb[0] === INQUIRY.opcode ? slots.inquiry : slots.unknown);
    if (cdb[0] === INQUIRY.opcode) {
      this.#inquireNothing(task, missing ? PERIPHERAL_NOT_CONNECTED : PERIPHERAL_NONE);
      return;
    }
    this.#failOrSense(task, reason);
  }

  /** CHECK CONDITION; to REQUEST SENSE the same as data. */
  #failOrSense(task: ScsiTask, reason: SenseName): void {
    const { cdb } = task;
    if (cdb[0] !== REQUEST_SENSE.opcode) {
      this.#fail(task, reason);
      return;
    }
    const { desc, allocationLength } = REQUEST_SENSE.fields;
    this.#inline(task, senseParameterData(reason, fieldValue(cdb, desc) !== 0), fieldValue(cdb, allocationLength));
  }

  #lunsTold(nexus: NexusNumber): void {
    const state = this.#nexuses.get(nexus);
    if (state !== undefined) state.lunsChanged = false;
  }

  #inquireNothing(task: ScsiTask, peripheral: number): void {
    const { fields } = INQUIRY;
    const { cdb } = task;
    if (fieldValue(cdb, fields.cmddt) !== 0 || fieldValue(cdb, fields.pageCode) !== 0) {
      this.#fail(task, "invalidFieldInCdb", fields.pageCode.byte); // only page 00h is there
      return;
    }
    const vital = fieldValue(cdb, fields.evpd) !== 0;
    const data = vital ? vpdPage(peripheral, 0x00, Uint8Array.of(0x00)) : standardInquiry(peripheral);
    this.#inline(task, data, fieldValue(cdb, fields.allocationLength));
  }

  /** Told once for all logical units; REQUEST SENSE gets it as data. */
  #reportLunsChanged(task: ScsiTask): void {
    this.#lunsTold(task.nexus);
    this.#counters[slots.unitAttentions]! += 1;
    this.#begin(task, slots.unknown);
    this.#failOrSense(task, "reportedLunsDataHasChanged");
  }

  // — ends —

  #begin(task: ScsiTask, counterSlot: number): void {
    this.#counters[counterSlot]! += 1;
    const { dataOut } = task;
    for (let i = 0; i < dataOut.frameCount; i += 1) this.#options.frames.give(dataOut.frames[i]!);
    dataOut.frameCount = 0;
    task.status = STATUS.GOOD;
    task.senseBytes = 0;
    task.inlineDataIn = undefined;
    task.dataIn.frameCount = 0;
    task.dataIn.bytes = 0;
    task.transferBytes = 0;
    task.onRelease = undefined;
  }

  #inline(task: ScsiTask, data: Uint8Array, allocationLength: number): void {
    if (task.writeFlag && !task.readFlag) {
      this.#fail(task, "invalidFieldInCdb");
      return;
    }
    const bytes = Math.min(data.length, allocationLength);
    task.inlineDataIn = bytes > 0 ? data.subarray(0, bytes) : undefined;
    task.transferBytes = bytes;
    task.onComplete(task);
  }

  #fail(task: ScsiTask, name: SenseName, cdbByte?: number): void {
    setCheckCondition(task, name, cdbByte === undefined ? undefined : { field: { inCdb: true, byte: cdbByte } });
    this.#counters[CHECK_CONDITION_SLOT + (task.sense[2]! & 0x0f)]! += 1;
    task.onComplete(task);
  }
}
