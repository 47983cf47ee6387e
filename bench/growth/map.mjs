/**
 * The map of a pool as mapped capacity grows: its pages and checkpoint are written to LevelDB drives in their own format,
 * as if that much had been written by hosts, and the real map is opened on them.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DIST, median } from "./array.mjs";

const GiB = 2 ** 30;
const MiB = 2 ** 20;
const VOLUME = 1;
const PAGE_BLOCKS = 1024;
const PAGES_MAX = 8192;
const LOADS = 2000;

const of = (path) => import(join(DIST, path));

export async function measureMap({ gibibytes = [1, 16, 128, 1024] } = {}) {
  const points = [];
  for (const size of gibibytes) {
    const folder = mkdtempSync(join(tmpdir(), "varray-map-"));
    try {
      points.push(await measureSize(folder, size));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    process.stderr.write(`map ${JSON.stringify(points.at(-1))}\n`);
  }
  return points;
}

async function measureSize(folder, gibibytes) {
  const { LevelDriveMedium } = await of("drivers/drive/level-drive.js");
  const { formatDrive } = await of("drivers/drive/level-drive-format.js");
  const { createGlobalMemory } = await of("drivers/shared-memory/global-memory.js");
  const { encodeCheckpoint } = await of("src/map/map-log.js");
  const { encodePage, pageKey } = await of("src/map/map-page.js");
  const { MetadataStore } = await of("src/map/metadata-store.js");
  const { PoolMap } = await of("src/map/pool-map.js");
  const { ZoneTable } = await of("src/map/zone-table.js");
  const { groupGeometry } = await of("src/raid/geometry.js");
  const { RaidGroup } = await of("src/raid/raid-group.js");
  const { global } = createGlobalMemory({
    directorCount: 1,
    poolCount: 1,
    driveCount: 2,
    poolReachedBy: [[0]],
    frameCount: 256,
    stagingBytesPerPool: 0,
    mailboxBytes: 4096,
  });
  const geometry = groupGeometry({ dataDrives: 3, blocksPerStrip: 8, stripesPerZone: 1000, zoneSlots: 8192 });
  const blocks = (gibibytes * GiB) / 4096;
  const pageCount = blocks / PAGE_BLOCKS;
  const names = ["00", "01"];
  const drivesOf = async () => {
    const media = await Promise.all(names.map((name) => LevelDriveMedium.open(join(folder, name), { name, global })));
    const drives = media.map((medium) => medium.attach());
    for (const drive of drives) await drive.open(0);
    return { media, drives };
  };

  for (const name of names) {
    const drive = { capacityBytes: 1024 * GiB, stripBytes: geometry.shape.stripBytes, stripsPerZone: 1000, zoneCount: 8192 };
    await formatDrive(join(folder, name), { name, driveId: name.repeat(16), geometry: drive });
  }
  const first = await drivesOf();
  const places = Uint32Array.from({ length: PAGE_BLOCKS }, (_, n) => 1 + n);
  for (let page = 0; page < pageCount; page += 100) {
    const batch = [];
    for (let n = page; n < Math.min(page + 100, pageCount); n++) {
      batch.push({ type: "put", key: pageKey(VOLUME, n), value: encodePage(VOLUME, n, 0, places) });
    }
    await Promise.all(first.drives.map((drive) => drive.metadataBatch(batch)));
  }
  const checkpoint = encodeCheckpoint({ logSequence: 0, zones: new ZoneTable(8192), mapped: new Map([[VOLUME, blocks]]) });
  for (const drive of first.drives) await drive.metadataBatch([{ type: "put", key: "checkpoint", value: checkpoint }]);
  for (const medium of first.media) await medium.close();

  globalThis.gc?.();
  const memory = process.memoryUsage().arrayBuffers;
  let began = performance.now();
  const { media, drives } = await drivesOf();
  const openDrivesMilliseconds = performance.now() - began;
  const members = drives.map((drive, position) => ({
    position,
    name: drive.name,
    driveId: "",
    state: "online",
    reason: undefined,
    drive,
  }));
  const group = new RaidGroup(members, geometry.level, { onMemberLost: async () => {}, onNoSpace: async () => {} });
  const map = new PoolMap(new MetadataStore(group), geometry, PAGES_MAX);
  began = performance.now();
  map.pages.addVolume(VOLUME, blocks, false);
  await map.load();
  const loadMilliseconds = performance.now() - began;
  const loads = [];
  for (let n = 0; n < LOADS; n++) {
    const page = Math.floor(Math.random() * pageCount);
    began = performance.now();
    await map.loadPage(VOLUME, page);
    loads.push((performance.now() - began) * 1000);
    if (map.lookup(VOLUME, page * PAGE_BLOCKS + 5) !== 6) throw new Error("the map is not as it was written");
  }
  globalThis.gc?.();
  const mapMebibytes = (process.memoryUsage().arrayBuffers - memory) / MiB;
  for (const medium of media) await medium.close();
  return {
    mappedGibibytes: gibibytes,
    openDrivesMilliseconds,
    loadMilliseconds,
    pageLoadMicroseconds: median(loads),
    mapMebibytes,
    mapMebibytesMax: PAGES_MAX / 256 + 1,
    driveMebibytes: folderBytes(join(folder, names[0])) / MiB,
  };
}

function folderBytes(folder) {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    return sum + (entry.isDirectory() ? folderBytes(path) : statSync(path).size);
  }, 0);
}
