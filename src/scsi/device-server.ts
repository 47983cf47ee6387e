/**
 * Device server of all logical units that one director owns: takes tasks, keeps each unit's state, runs the commands.
 *
 *   submit ─► task set full? ─► task set ─► reservation ─► unit attention ─► CDB known? ─► handler ─► ended ─► onComplete
 *                                   ▲ waiting ORDERED commands start when others leave ─────────────────┘
 *
 * Runs on: the owning director's thread. Owns: the logical units' state, the pool of commands.
 * Invariants:
 *  1. Every submitted task completes exactly once.
 *  2. A command that the reservation or a unit attention stops has no effect.
 *  3. Data-out frames of a task are gone (written or given back) when it completes.
 *  4. READ and WRITE allocate nothing once pool and runs have grown to the load.
 *  5. A unit that is released begins no command; those that come go back to who sent them, untouched (`onMoved`).
 *  6. What changes something does not begin COMMAND_AGE_MAX after its host may have sent it, nor once its director is dead.
 */
import { counterBlock } from "../../drivers/shared-memory/counters.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { UnitTable } from "../../drivers/shared-memory/unit-table.ts";
import type { Routing } from "../control/contract.ts";
import type { BlockService, FrameSource, VolumeNumber } from "../volume/block-io.ts";
import { CDB_UNKNOWN, cdbIndex, describeCdb, planDataOut } from "./cdb/cdb-table.ts";
import { Command, type CommandServices } from "./command.ts";
import { COMMAND_AGE_MAX_MICROSECONDS } from "./command-age.ts";
import { COMMANDS, type CommandEntry } from "./command-table.ts";
import { ExecutedRequests } from "./executed-requests.ts";
import { LogicalUnit } from "./logical-unit.ts";
import { LunMap } from "./lun-map.ts";
import { CHECK_CONDITION_SLOT, SCSI_COUNTERS } from "./scsi-counters.ts";
import type { TargetIdentity } from "./target-identity.ts";
import { targetPortGroupsData, type UnitAccess } from "./target-port-groups.ts";
import {
  type DataOutPlan,
  type LogicalUnitServer,
  type NexusInfo,
  type NexusNumber,
  type ResetDone,
  type ScsiTask,
  STATUS,
  TASK_ATTRIBUTE,
} from "./task.ts";
import { firstUnitAttention } from "./unit-attention.ts";

export interface DeviceServerOptions {
  readonly blocks: BlockService;
  readonly frames: FrameSource;
  readonly global: GlobalMemory;
  readonly identity: TargetIdentity;
}

/** NACA bit of the CONTROL byte (SAM-5 §5.2): auto contingent allegiance is not supported. */
const NACA = 0x04;

const { slots } = SCSI_COUNTERS;

/** A move of units to another owner that waits for the commands that run. */
interface Release {
  readonly volumes: readonly VolumeNumber[];
  readonly done: () => void;
}

export class DeviceServer implements LogicalUnitServer {
  readonly #services: CommandServices;
  readonly #counters: Float64Array;
  readonly #units = new Map<VolumeNumber, LogicalUnit>();
  readonly #pool: Command[] = [];
  readonly #luns = new LunMap();
  readonly #scratchPlan: DataOutPlan = { bytes: 0, phase: 0 };
  readonly #table: UnitTable;
  /** Nexuses of all directors. */
  readonly #nexuses = new Set<NexusNumber>();
  /** Volumes that this director gave up, until it has them again. */
  readonly #released = new Set<VolumeNumber>();
  #releases: Release[] = [];
  /** What owners that died had executed of what others asked them for. */
  readonly executed = new ExecutedRequests();
  readonly #nowMicroseconds: () => number;

  constructor({ blocks, frames, global, identity }: DeviceServerOptions) {
    this.#counters = counterBlock(global, "scsi", identity.directorIndex);
    this.#table = new UnitTable(global);
    this.#nowMicroseconds = () => global.clock.nowMicroseconds();
    this.#services = {
      blocks,
      frames,
      global,
      identity,
      counters: this.#counters,
      accessOf: (volume) => this.accessOf(volume),
      ended: (command) => this.#ended(command),
      recycle: (command) => this.#recycle(command),
    };
  }

  // — what changes —

  /** 2A/06 ASYMMETRIC ACCESS STATE CHANGED for every nexus of a unit of which another path state is reported than before. */
  setRouting(routing: Routing): void {
    const before = new Map([...this.#units.keys()].map((volume) => [volume, this.#accessText(volume)]));
    this.#luns.set(routing);
    for (const [volume, text] of before) {
      if (text !== this.#accessText(volume)) this.#units.get(volume)?.raise("asymmetricAccessStateChanged");
    }
  }

  /** Through which ports a volume can be reached. */
  accessOf(volume: VolumeNumber): UnitAccess {
    const { directorsDown } = this.#luns;
    const route = this.#luns.route(volume);
    return { owner: route?.owner ?? this.#services.identity.directorIndex, access: route?.access ?? "active", directorsDown };
  }

  /** Parameter data of REPORT TARGET PORT GROUPS, whoever answers it. */
  targetPortGroups(volume: VolumeNumber, format: number): Uint8Array {
    return targetPortGroupsData(this.#services.identity.ports, this.accessOf(volume), format);
  }

  /** Undefined while no routing has the volume: nothing was reported then. */
  #accessText(volume: VolumeNumber): string {
    const { owner, access, directorsDown } = this.accessOf(volume);
    return `${owner} ${access} ${[...directorsDown].sort((a, b) => a - b)}`;
  }

  /**
   * Gives units up, to another owner: commands that come go back, `done` when none runs any more. Their state is in global
   * memory then, as the next owner has it.
   */
  release(volumes: readonly VolumeNumber[], done: () => void): void {
    for (const volume of volumes) this.#released.add(volume);
    this.#releases.push({ volumes, done });
    this.#finishReleases();
  }

  /** Serves units from now on, as their owner before left them: it has released them, or is dead and joined. */
  adopt(volumes: readonly VolumeNumber[]): void {
    for (const volume of volumes) {
      if (this.#units.has(volume)) continue; // a move that did not come about: it never left
      const unit = new LogicalUnit(volume, this.#table.row(volume));
      unit.restore((nexus) => this.#nexuses.has(nexus));
      this.#units.set(volume, unit);
    }
    for (const volume of volumes) this.#released.delete(volume);
    this.#releases = this.#releases.filter((release) => !release.volumes.some((volume) => volumes.includes(volume)));
  }

  #finishReleases(): void {
    const left = this.#releases.filter(({ volumes }) =>
      volumes.some((volume) => (this.#units.get(volume)?.tasks.count ?? 0) > 0),
    );
    const ready = this.#releases.filter((release) => !left.includes(release));
    this.#releases = left;
    for (const { volumes, done } of ready) {
      for (const volume of volumes) if (this.#released.has(volume)) this.#units.delete(volume);
      done();
    }
  }

  /** 2A/09 CAPACITY DATA HAS CHANGED, for every nexus. */
  onVolumeGrown(volume: VolumeNumber): void {
    this.#units.get(volume)?.raise("capacityDataHasChanged");
  }

  /** 2A/01 MODE PARAMETERS CHANGED, for every nexus: WCE was changed by the control plane. */
  onModeParametersChanged(volume: VolumeNumber): void {
    this.#units.get(volume)?.raise("modeParametersChanged");
  }

  /** Commands that are in end as the volume layer ends them; no new state is kept. */
  onVolumeDeleted(volume: VolumeNumber): void {
    this.#units.delete(volume);
    this.#released.delete(volume);
    this.#table.find(volume)?.free();
  }

  /** Its state begins at each unit with its first command: POWER ON, pending. A number that is used again begins anew. */
  nexusOpened({ nexus }: NexusInfo): void {
    this.nexusClosed(nexus);
    this.#nexuses.add(nexus);
  }

  nexusClosed(nexus: NexusNumber): void {
    this.#nexuses.delete(nexus);
    for (const unit of this.#units.values()) unit.forgetNexus(nexus);
  }

  resetLogicalUnit(_nexus: NexusNumber, lun: number, done: ResetDone): void {
    const entry = this.#luns.get(lun);
    if (entry !== undefined && this.#isElsewhere(entry.volume)) {
      done(true, true);
      return;
    }
    const unit = entry === undefined ? undefined : this.#unit(entry.volume);
    if (unit === undefined) {
      done(false);
      return;
    }
    this.#counters[slots.logicalUnitResets]! += 1;
    unit.reset(() => done(true));
  }

  planDataOut(lun: number, cdb: Uint8Array, plan: DataOutPlan): void {
    const entry = this.#luns.get(lun);
    if (entry !== undefined) {
      planDataOut(cdb, entry.logicalBlockBytes, plan);
      return;
    }
    plan.bytes = 0;
    plan.phase = 0;
  }

  // — commands —

  /** `task.volume` is set. */
  submit(task: ScsiTask): void {
    if (this.#released.size > 0 && this.#released.has(task.volume)) {
      this.#sendBack(task);
      return;
    }
    const unit = this.#unit(task.volume);
    if (unit === undefined && this.#isElsewhere(task.volume)) {
      this.#sendBack(task);
      return;
    }
    const command = this.#pool.pop() ?? new Command(this.#services);
    command.begin(task);
    if (unit === undefined) {
      this.#refuse(command, () => command.fail("logicalUnitNotSupported"));
      return;
    }
    if (unit.tasks.full) {
      this.#refuse(command, () => command.endWith(STATUS.TASK_SET_FULL));
      return;
    }
    command.unit = unit;
    command.nexus = unit.nexus(task.nexus);
    command.generation = unit.generation;
    this.#counters[slots.tasks]! += 1;
    if (unit.tasks.enter(command)) this.#run(command);
  }

  /** Its director is dead: what it has not begun to write is not written. */
  abandon(task: ScsiTask): void {
    const command = task.serverContext;
    if (command instanceof Command && command.active && command.task === task) command.io.abandoned = true;
  }

  #unit(volume: VolumeNumber): LogicalUnit | undefined {
    let unit = this.#units.get(volume);
    if (unit === undefined && this.#services.blocks.volumeInfo(volume) !== undefined) {
      const row = this.#table.row(volume);
      row?.clear(); // of a life before this one
      unit = new LogicalUnit(volume, row);
      this.#units.set(volume, unit);
    }
    return unit;
  }

  /** There is such a unit, and it is not this director's to serve now. */
  #isElsewhere(volume: VolumeNumber): boolean {
    if (this.#released.has(volume)) return true;
    if (this.#services.blocks.volumeInfo(volume) !== undefined) return false;
    const route = this.#luns.route(volume);
    if (route === undefined) return false;
    return route.owner !== this.#services.identity.directorIndex || (route.access ?? "active") !== "active";
  }

  #sendBack(task: ScsiTask): void {
    if (task.onMoved !== undefined) {
      task.onMoved(task);
      return;
    }
    const command = this.#pool.pop() ?? new Command(this.#services);
    command.begin(task);
    this.#refuse(command, () => command.endWith(STATUS.BUSY));
  }

  /** Ends a command that never entered a task set. */
  #refuse(command: Command, end: () => void): void {
    command.unit = NO_UNIT;
    end();
  }

  /** SAM-5 §5.3.3: a reservation conflict goes before a unit attention, that before everything else. */
  #run(command: Command): void {
    const { task, unit, nexus } = command;
    const { cdb } = task;
    const index = cdbIndex(cdb[0]!, cdb[1]! & 0x1f);
    const entry = index < 0 ? undefined : COMMANDS[index];
    command.entry = entry;
    if (task.repeat && (task.executed || this.executed.has(task))) {
      this.#answerExecuted(command);
      return;
    }
    if (unit.reservedByOther(task.nexus) && entry?.passesReservation === false) {
      command.endWith(STATUS.RESERVATION_CONFLICT);
      return;
    }
    nexus.heard();
    if (nexus.attentions !== 0 && entry?.passesUnitAttention !== true) {
      const attention = firstUnitAttention(nexus.attentions)!;
      nexus.tellFirst();
      this.#counters[slots.unitAttentions]! += 1;
      command.fail(attention);
      return;
    }
    if (index === CDB_UNKNOWN.serviceAction) {
      command.fail("invalidFieldInCdb", { field: { inCdb: true, byte: 1, bit: 4 } });
      return;
    }
    if (entry === undefined) {
      command.fail("invalidCommandOperationCode");
      return;
    }
    if (!this.#acceptable(command, entry)) return;
    if (entry.changes && this.#tooLate(command)) return;
    entry.run(command);
  }

  /** Its host may have repeated it elsewhere, and gone on from there. True: it ended the command. */
  #tooLate(command: Command): boolean {
    const { task } = command;
    if (task.revoked) {
      command.endWith(STATUS.TASK_ABORTED);
      return true;
    }
    const { arrivedMicroseconds } = task;
    if (arrivedMicroseconds === 0 || this.#nowMicroseconds() - arrivedMicroseconds <= COMMAND_AGE_MAX_MICROSECONDS) return false;
    this.#counters[slots.commandsTooLate]! += 1;
    command.endWith(STATUS.BUSY);
    return true;
  }

  /** A write that the owner before had executed: acknowledged, once what was recovered of it is durable. */
  #answerExecuted(command: Command): void {
    const { task } = command;
    const info = this.#services.blocks.volumeInfo(task.volume);
    if (info === undefined) {
      command.fail("logicalUnitNotSupported");
      return;
    }
    command.info = info;
    this.#counters[slots.repeatsAnswered]! += 1;
    planDataOut(task.cdb, info.logicalBlockBytes, this.#scratchPlan);
    task.transferBytes = this.#scratchPlan.bytes;
    command.start("flush", command.range(0, 0, true), executedDurable);
  }

  /** Checks that all commands share. False: it ended the command. */
  #acceptable(command: Command, { definition }: CommandEntry): boolean {
    const { task } = command;
    const info = this.#services.blocks.volumeInfo(task.volume);
    if (info === undefined) {
      command.fail("logicalUnitNotSupported");
      return false;
    }
    command.info = info;
    if ((task.cdb[definition.lengthBytes - 1]! & NACA) !== 0 || task.attribute >= TASK_ATTRIBUTE.aca) {
      command.fail("invalidFieldInCdb", { field: { inCdb: true, byte: definition.lengthBytes - 1, bit: 2 } });
      return false;
    }
    if (task.readFlag !== task.writeFlag && this.#flaggedAgainst(command, definition.direction === "in")) {
      command.fail("invalidFieldInCdb");
      return false;
    }
    return true;
  }

  /** The transport's only direction is the one in which the command moves nothing. READ is left to its handler. */
  #flaggedAgainst(command: Command, dataIn: boolean): boolean {
    const { task, info, entry } = command;
    if (task.writeFlag) return dataIn && entry!.counterSlot !== slots.read;
    if (dataIn) return false;
    planDataOut(task.cdb, info.logicalBlockBytes, this.#scratchPlan);
    return this.#scratchPlan.bytes > 0;
  }

  #ended(command: Command): void {
    const { task, unit } = command;
    if (!command.active) throw new Error(`${describeCdb(task.cdb)} ended twice`); // invariant 1
    command.active = false;
    command.giveBackDataOut();
    this.#count(command);
    if (unit !== NO_UNIT) {
      this.#counters[slots.tasks]! -= 1;
      unit.tasks.leave(command);
      unit.commandEnded(command.generation);
    }
    if (task.onRelease === undefined) this.#recycle(command);
    task.onComplete(task);
    if (unit !== NO_UNIT) {
      unit.finishResets();
      this.#startWaiting(unit);
      if (this.#releases.length > 0) this.#finishReleases();
    }
  }

  /** A loop, not a recursion: a command that ends at once finds `starting` set and leaves the rest to it. */
  #startWaiting(unit: LogicalUnit): void {
    if (unit.starting) return;
    unit.starting = true;
    for (let next = unit.tasks.nextStartable(); next !== undefined; next = unit.tasks.nextStartable()) this.#run(next);
    unit.starting = false;
  }

  #count(command: Command): void {
    const counters = this.#counters;
    const { task, entry } = command;
    counters[entry === undefined ? slots.unknown : entry.counterSlot]! += 1;
    if (task.status === STATUS.GOOD) return;
    if (task.status === STATUS.CHECK_CONDITION) counters[CHECK_CONDITION_SLOT + (task.sense[2]! & 0x0f)]! += 1;
    else if (task.status === STATUS.RESERVATION_CONFLICT) counters[slots.reservationConflicts]! += 1;
    else if (task.status === STATUS.TASK_SET_FULL || task.status === STATUS.BUSY) counters[slots.taskSetFull]! += 1;
  }

  #recycle(command: Command): void {
    command.io.run = command.ownRun;
    command.steps = undefined;
    this.#pool.push(command);
  }
}

function executedDurable(command: Command): void {
  if (!command.failedIo()) command.good();
}

/** Stands in for the unit of a command that was refused before it had one. */
const NO_UNIT = new LogicalUnit(-1);
