/** pools scrub, rebuild, shares, healing: what mends pools, and how far it is. */
import type { Command } from "commander";
import type { Pool } from "./answers.ts";
import { CliError, EXIT } from "./api-client.ts";
import type { CliContext } from "./run.ts";
import { readableBytes, table } from "./table.ts";

const COMMAND_SECONDS = 70;

/** What is said of a scrub that was commanded. */
const SCRUB_TOLD: Readonly<Record<string, string>> = {
  start: "goes on: `varray pools healing` says how far it is, an event what it found",
  pause: "is paused",
  cancel: "is cancelled",
};

export function addHealingCommands(pools: Command, context: CliContext): void {
  const path = (pool: string, what: string): string => `/api/v1/pools/${encodeURIComponent(pool)}/${what}`;
  pools
    .command("healing")
    .description("rebuilds and scrubs: how far they are, and what the last scrub found")
    .action(async () => {
      const answer = await context.client().get<{ pools: Pool[] }>("/api/v1/pools");
      context.show(answer, (shown) => healingTable(shown.pools));
    });
  pools
    .command("scrub")
    .description("read and check everything on a pool's drives, and mend what is found")
    .argument("<pool>")
    .argument("[action]", "start (also after a pause), pause or cancel", "start")
    .action(async (pool: string, action: string) => {
      const answer = await context.client().post(path(pool, "scrub"), { action }, COMMAND_SECONDS);
      context.show(answer, () => `the scrub of pool ${pool} ${SCRUB_TOLD[action]}\n`);
    });
  pools
    .command("rebuild")
    .description("rebuild at once what can be; drives that are missing are not waited for")
    .argument("<pool>")
    .action(async (pool: string) => {
      const answer = await context.client().post(path(pool, "rebuild"), undefined, COMMAND_SECONDS);
      context.show(answer, () => `pool ${pool} is being looked at: see "pools healing"\n`);
    });
  pools
    .command("shares")
    .description(
      "how fast rebuilds and scrubs are while hosts are active, in percent of what they are while hosts are quiet; until the next start",
    )
    .argument("<pool>")
    .option("--rebuild <percent>", "1 to 100")
    .option("--scrub <percent>", "1 to 100")
    .action(async (pool: string, { rebuild, scrub }: { rebuild?: string; scrub?: string }) => {
      if (rebuild === undefined && scrub === undefined) throw new CliError(EXIT.usage, "give --rebuild, --scrub or both");
      const answer = await context.client().patch(path(pool, "healing"), {
        ...(rebuild === undefined ? {} : { rebuildSharePercent: percentArgument("--rebuild", rebuild) }),
        ...(scrub === undefined ? {} : { scrubSharePercent: percentArgument("--scrub", scrub) }),
      });
      context.show(answer, () => `shares of pool ${pool} are set\n`);
    });
}

function healingTable(pools: readonly Pool[]): string {
  return table<Pool>(
    [
      { title: "POOL", value: ({ name }) => name },
      { title: "STATE", value: ({ state }) => state },
      { title: "REBUILD", value: ({ rebuild }) => (rebuild === undefined ? "-" : `${rebuild.drive}: ${progress(rebuild)}`) },
      { title: "SCRUB", value: ({ scrub }) => (scrub === undefined ? "-" : `${scrub.state} ${progress(scrub)}`.trim()) },
      { title: "LAST SCRUB", value: ({ scrub }) => lastScrub(scrub) },
      {
        title: "SHARES",
        value: ({ rebuildSharePercent, scrub }) => `${rebuildSharePercent ?? "-"} %, ${scrub?.sharePercent ?? "-"} %`,
      },
    ],
    pools,
  );
}

function progress(at: { readonly zonesDone?: number; readonly zonesTotal?: number; readonly secondsLeft?: number }): string {
  if (at.zonesTotal === undefined) return "";
  const left = at.secondsLeft === undefined ? "" : `, ${at.secondsLeft} s left`;
  return `${at.zonesDone ?? 0}/${at.zonesTotal} zones${left}`;
}

function lastScrub(scrub: Pool["scrub"]): string {
  const last = scrub?.last;
  if (scrub === undefined || last === undefined) return "never";
  const found = last.badStrips + last.lostBlocks + last.lostStrips;
  const what = found === 0 ? "clean" : `${last.badStrips} bad strips, ${last.lostBlocks} blocks lost`;
  return `${Math.floor(scrub.hoursSinceLast)} h ago: ${readableBytes(last.bytesRead)}, ${what}`;
}

function percentArgument(name: string, text: string): number {
  const percent = Number(text);
  if (!Number.isInteger(percent) || percent < 1 || percent > 100)
    throw new CliError(EXIT.usage, `${name} must be a whole number from 1 to 100, not "${text}"`);
  return percent;
}
