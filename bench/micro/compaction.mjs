/** Choosing which zone to empty next, in pools of so many zones: done again and again while room is short. */
import { ZONE_STATE, ZoneTable } from "../../dist/src/map/zone-table.js";
import { groupGeometry } from "../../dist/src/raid/geometry.js";
import { Compactor } from "../../dist/src/volume/compactor.js";

export function cases() {
  return [64, 1024].map((zones) => ({
    name: `compaction: a victim looked for among ${zones} zones`,
    batch: 1,
    run: choose(zones),
  }));
}

/** All zones are as good as full, so that the compactor looks at each and goes to rest again. */
function choose(zoneSlots) {
  const geometry = groupGeometry({ dataDrives: 3, blocksPerStrip: 8, stripesPerZone: 512, zoneSlots });
  const zones = new ZoneTable(zoneSlots);
  zones.state.fill(ZONE_STATE.sealed);
  zones.stripes.fill(geometry.stripesPerZone);
  zones.live.fill(geometry.blocksPerZone);
  const pool = {
    geometry,
    map: { zones },
    space: { freeZones: 0, freeZonesWanted: 5 },
    health: { failed: false },
    counters: new Float64Array(256),
    zoneUse: { uncommitted: new Uint32Array(zoneSlots), reading: new Uint32Array(zoneSlots) },
  };
  const compactor = new Compactor({
    pool,
    appender: undefined,
    stripesPerBatch: 1,
    onFreed: () => undefined,
    onDamaged: () => undefined,
  });
  return () => compactor.poke();
}
