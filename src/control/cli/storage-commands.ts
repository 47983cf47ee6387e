/** pools, drives, destage, volumes, luns. */
import type { Command } from "commander";
import { parseSize } from "../../config/size.ts";
import type { Drive, LunMapping, Pool, Volume } from "./answers.ts";
import { CliError, EXIT } from "./api-client.ts";
import { addDriveCommands } from "./drive-commands.ts";
import { addHealingCommands } from "./healing-commands.ts";
import type { CliContext } from "./run.ts";
import { percent, readableBytes, table } from "./table.ts";

const DESTAGE_SECONDS = 960;
const MOVE_SECONDS = 70;

export function addStorageCommands(program: Command, context: CliContext): void {
  const pools = program.command("pools").description("pools: state, fill, write pending, journal");
  pools
    .command("list", { isDefault: true })
    .description("all pools")
    .action(async () => {
      const answer = await context.client().get<{ pools: Pool[] }>("/api/v1/pools");
      context.show(answer, (shown) => poolTable(shown.pools));
    });
  pools
    .command("lost")
    .description("what is lost for good, or can't be read while drives are away, by volume and LBA: reads of it get MEDIUM ERROR")
    .action(async () => {
      const answer = await context.client().get<{ pools: Pool[] }>("/api/v1/pools");
      const told = answer.pools.map(({ name, lost, unreadable }) => ({
        name,
        ...(lost === undefined ? {} : { lost }),
        ...(unreadable === undefined ? {} : { unreadable }),
      }));
      context.show({ pools: told }, () => lostTable(answer.pools));
    });
  pools
    .command("move")
    .description("move a pool to another director, without an error to any host; done when it is served there")
    .argument("<pool>")
    .requiredOption("--to <director>", "as 1B")
    .action(async (pool: string, { to }: { to: string }) => {
      const answer = await context.client().post(`/api/v1/pools/${encodeURIComponent(pool)}/move`, { to }, MOVE_SECONDS);
      context.show(answer, () => `pool ${pool} is served by director ${to}\n`);
    });
  addHealingCommands(pools, context);
  const drives = program.command("drives").description("drives");
  addDriveCommands(drives, context);
  drives
    .command("list", { isDefault: true })
    .description("drives and their state")
    .action(async () => {
      const answer = await context.client().get<{ drives: Drive[] }>("/api/v1/drives");
      context.show(answer, ({ drives }) =>
        table<Drive>(
          [
            { title: "DRIVE", value: ({ name }) => name },
            { title: "POOL", value: ({ pool }) => pool },
            { title: "STATE", value: ({ state, reason }) => (reason === undefined ? state : `${state}: ${reason}`) },
            { title: "CAPACITY", value: ({ capacityBytes }) => readableBytes(capacityBytes) },
            { title: "ERRORS", value: ({ errors = 0 }) => (errors < 0.5 ? "-" : errors.toFixed(0)) },
            { title: "ZONES", value: ({ zonesUsed, zoneCount }) => `${zonesUsed}/${zoneCount}` },
          ],
          drives,
        ),
      );
    });
  program
    .command("destage")
    .description("write everything that is dirty to the drives, of the pools named or of all; done when their journals are empty")
    .argument("[pools...]")
    .action(async (named: string[]) => {
      const client = context.client();
      const names =
        named.length > 0 ? named : (await client.get<{ pools: Pool[] }>("/api/v1/pools")).pools.map(({ name }) => name);
      for (const name of names) {
        await client.post(`/api/v1/pools/${encodeURIComponent(name)}/destage`, undefined, DESTAGE_SECONDS);
        context.show({ pool: name, done: true }, () => `pool ${name}: everything is on the drives\n`);
      }
    });
  addVolumeCommands(program.command("volumes").description("thin volumes"), context);
  addLunCommands(program.command("luns").description("LUN mapping"), context);
}

function addVolumeCommands(volumes: Command, context: CliContext): void {
  volumes
    .command("list", { isDefault: true })
    .description("all volumes")
    .action(async () => {
      const answer = await context.client().get<{ volumes: Volume[] }>("/api/v1/volumes");
      context.show(answer, (shown) => volumeTable(shown.volumes));
    });
  volumes
    .command("create")
    .description("create a volume")
    .argument("<name>")
    .requiredOption("--pool <pool>", "the pool that holds it")
    .requiredOption("--size <size>", "as 16GiB")
    .option("--lun <lun>", "map it to this LUN")
    .option("--block <bytes>", "logical block, 512 or 4096")
    .action(async (name: string, { pool, size, lun, block }: { pool: string; size: string; lun?: string; block?: string }) => {
      const body = {
        name,
        pool,
        sizeBytes: sizeArgument(size),
        ...(lun === undefined ? {} : { lun: numberArgument("--lun", lun) }),
        ...(block === undefined ? {} : { logicalBlockBytes: numberArgument("--block", block) }),
      };
      const answer = await context.client().post<Volume>("/api/v1/volumes", body);
      context.show(answer, changedVolumeText);
    });
  volumes
    .command("grow")
    .description("grow a volume; hosts see it after a rescan")
    .argument("<volume>", "name or number")
    .argument("<size>", "its new size, as 32GiB")
    .action(async (volume: string, size: string) => {
      const answer = await context
        .client()
        .patch<Volume>(`/api/v1/volumes/${encodeURIComponent(volume)}`, { sizeBytes: sizeArgument(size) });
      context.show(answer, changedVolumeText);
    });
  volumes
    .command("delete")
    .description("delete a volume and its data")
    .argument("<volume>", "name or number")
    .option("--force", "also when it is mapped to a LUN")
    .action(async (volume: string, { force }: { force?: true }) => {
      const answer = await context.client().delete(`/api/v1/volumes/${encodeURIComponent(volume)}${force ? "?force=true" : ""}`);
      context.show(answer, () => `volume ${volume} is deleted\n`);
    });
}

function addLunCommands(luns: Command, context: CliContext): void {
  luns
    .command("list", { isDefault: true })
    .description("which LUN is which volume")
    .action(async () => {
      const answer = await context.client().get<{ luns: LunMapping[] }>("/api/v1/luns");
      context.show(answer, (shown) => lunTable(shown.luns));
    });
  luns
    .command("map")
    .description("map a volume to a LUN, the lowest free one unless given")
    .argument("<volume>", "name or number")
    .option("--lun <lun>")
    .action(async (volume: string, { lun }: { lun?: string }) => {
      const named = /^\d+$/.test(volume) ? Number(volume) : volume;
      const body = lun === undefined ? { volume: named } : { volume: named, lun: numberArgument("--lun", lun) };
      const answer = await context.client().post<LunMapping>("/api/v1/luns", body);
      context.show(answer, (mapping) => lunTable([mapping]));
    });
  luns
    .command("unmap")
    .description("take a LUN away; its volume stays")
    .argument("<lun>")
    .action(async (lun: string) => {
      const answer = await context.client().delete(`/api/v1/luns/${numberArgument("<lun>", lun)}`);
      context.show(answer, () => `LUN ${lun} is unmapped\n`);
    });
}

function lostTable(pools: readonly Pool[]): string {
  const all = pools.flatMap(({ name, lost, unreadable }) => [
    { pool: name, what: "lost", found: lost },
    { pool: name, what: "unreadable", found: unreadable },
  ]);
  const rows = all.flatMap(({ pool, what, found }) => (found?.ranges ?? []).map((range) => ({ pool, what, ...range })));
  const unlisted = all.flatMap(({ pool, what, found }) =>
    found === undefined || found.unlistedBytes === 0
      ? []
      : [`\npool ${pool}: ${readableBytes(found.unlistedBytes)} more, ${what}\n`],
  );
  const closed = pools
    .filter(({ state }) => state === "failed")
    .map(({ name }) => `\npool ${name} is not open: what it holds is not known (varray pools)\n`);
  if (rows.length === 0 && unlisted.length === 0 && closed.length === 0) return "nothing is lost\n";
  type Row = (typeof rows)[number];
  const shown = table<Row>(
    [
      { title: "POOL", value: ({ pool }) => pool },
      { title: "VOLUME", value: ({ volume, name }) => (name === "" ? String(volume) : name) },
      { title: "FIRST LBA", value: ({ firstLba }) => String(firstLba) },
      { title: "BLOCKS", value: ({ lbaCount }) => String(lbaCount) },
      { title: "BLOCK SIZE", value: ({ logicalBlockBytes }) => String(logicalBlockBytes) },
      { title: "WHAT", value: ({ what }) => what },
    ],
    rows,
  );
  return `${rows.length === 0 ? "" : shown}${unlisted.join("")}${closed.join("")}`;
}

function poolTable(pools: readonly Pool[]): string {
  const lost = pools.flatMap(({ name, lost }) =>
    lost === undefined ? [] : [`\npool ${name}: ${readableBytes(lost.lostBytes)} are lost (varray pools lost)\n`],
  );
  const unreadable = pools.flatMap(({ name, unreadable }) =>
    unreadable === undefined
      ? []
      : [`\npool ${name}: ${readableBytes(unreadable.lostBytes)} can't be read now (varray pools lost)\n`],
  );
  const reasons = pools.flatMap(({ name, reason }) => (reason === undefined ? [] : [`\npool ${name}: ${reason}\n`]));
  const rows = table<Pool>(
    [
      { title: "POOL", value: ({ name }) => name },
      { title: "STATE", value: ({ state }) => state },
      { title: "OWNER", value: ({ owner }) => owner },
      { title: "RAID", value: ({ raid }) => raid },
      { title: "USABLE", value: ({ usableBytes }) => readableBytes(usableBytes) },
      { title: "LIVE", value: ({ liveBytes }) => readableBytes(liveBytes) },
      { title: "FILL", value: ({ fillPercent }) => `${fillPercent} %` },
      { title: "PENDING", value: ({ dirtyBytes }) => readableBytes(dirtyBytes) },
      { title: "JOURNAL", value: ({ journalLiveBytes, journalBytes }) => percent(journalLiveBytes, journalBytes) },
      {
        title: "PROVISIONED",
        value: ({ provisionedBytes, usableBytes }) =>
          `${readableBytes(provisionedBytes)} (${percent(provisionedBytes, usableBytes)})`,
      },
    ],
    pools,
  );
  return rows + reasons.join("") + lost.join("") + unreadable.join("");
}

function changedVolumeText(volume: Volume): string {
  return volumeTable([volume]) + (volume.warnings ?? []).map((warning) => `\nwarning: ${warning}\n`).join("");
}

function volumeTable(volumes: readonly Volume[]): string {
  return table<Volume>(
    [
      { title: "NUMBER", value: ({ volume }) => volume },
      { title: "NAME", value: ({ name }) => name },
      { title: "POOL", value: ({ pool }) => pool },
      { title: "OWNER", value: ({ owner }) => owner },
      { title: "LUN", value: ({ luns }) => luns.join(",") || "-" },
      { title: "SIZE", value: ({ sizeBytes }) => readableBytes(sizeBytes) },
      { title: "MAPPED", value: ({ mappedBytes }) => readableBytes(mappedBytes) },
      { title: "BLOCK", value: ({ logicalBlockBytes }) => logicalBlockBytes },
      { title: "NAA", value: ({ naa }) => naa },
    ],
    volumes,
  );
}

function lunTable(luns: readonly LunMapping[]): string {
  return table<LunMapping>(
    [
      { title: "LUN", value: ({ lun }) => lun },
      { title: "VOLUME", value: ({ name, volume }) => name ?? `${volume} (missing)` },
      { title: "POOL", value: ({ pool }) => pool ?? "-" },
      { title: "OWNER", value: ({ owner }) => owner ?? "-" },
    ],
    luns,
  );
}

function sizeArgument(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined) throw new CliError(EXIT.usage, `"${text}" is no size: use bytes, or KiB, MiB, GiB, TiB, as 16GiB`);
  return bytes;
}

function numberArgument(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new CliError(EXIT.usage, `${name} must be a whole number, not "${text}"`);
  return Number(text);
}
