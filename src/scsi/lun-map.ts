/** LUN → volume, as the routing has it. Runs on: any thread. Owns: the map. */
import type { Routing, VolumeAccess } from "../control/contract.ts";
import type { VolumeNumber } from "../volume/block-io.ts";

/** The flat space addressing method ends here (SAM-5 §4.7.7.3). */
const LUN_COUNT_MAX = 16384;

type Route = Routing["volumes"][number];

export interface LunEntry {
  readonly lun: number;
  readonly volume: VolumeNumber;
  /** Director that owns the volume's pool. */
  readonly owner: number;
  readonly access: VolumeAccess;
  readonly logicalBlockBytes: number;
}

export class LunMap {
  #entries: ReadonlyMap<number, LunEntry> = new Map();
  #missing: ReadonlySet<number> = new Set();
  #routes: ReadonlyMap<VolumeNumber, Route> = new Map();
  /** Directors whose ports can't be reached. */
  directorsDown: ReadonlySet<number> = new Set();

  /** Of a volume that is a LUN. */
  route(volume: VolumeNumber): Route | undefined {
    return this.#routes.get(volume);
  }

  get(lun: number): LunEntry | undefined {
    return this.#entries.get(lun);
  }

  /** Mapped, but the volume's pool did not come up. */
  isMissing(lun: number): boolean {
    return this.#missing.has(lun);
  }

  /** In rising order of LUN, missing ones included: a host must not forget them. */
  get luns(): readonly number[] {
    return [...this.#entries.keys(), ...this.#missing].sort((a, b) => a - b);
  }

  /** Takes the routing over. Returns whether a host would find other logical units than before. */
  set(routing: Routing): boolean {
    const volumes = new Map(routing.volumes.map((volume) => [volume.volume, volume]));
    const entries = new Map<number, LunEntry>();
    const missing = new Set<number>();
    for (const { lun, volume } of routing.array.luns) {
      if (lun < 0 || lun >= LUN_COUNT_MAX) continue;
      const route = volumes.get(volume);
      if (route === undefined) missing.add(lun);
      else {
        const { owner, access = "active", logicalBlockBytes } = route;
        entries.set(lun, { lun, volume, owner, access, logicalBlockBytes });
      }
    }
    const before = this.#entries;
    this.#entries = entries;
    this.#missing = missing;
    this.#routes = volumes;
    this.directorsDown = new Set(routing.directorsDown);
    return before.size !== entries.size || [...entries].some(([lun, entry]) => before.get(lun)?.volume !== entry.volume);
  }
}
