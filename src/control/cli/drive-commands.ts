/** drives pull, insert and replace; faults: what drives are to do wrong on command. */
import type { Command } from "commander";
import type { DriveFaults } from "./answers.ts";
import { CliError, EXIT } from "./api-client.ts";
import type { CliContext } from "./run.ts";
import { table } from "./table.ts";

export function addDriveCommands(drives: Command, context: CliContext): void {
  for (const [name, does, did] of [
    ["pull", "pull a drive, as if out of its slot", "is pulled"],
    ["insert", "insert a drive again that was pulled or could not be reached", "is inserted"],
    ["replace", "make a new, empty drive in the place of one that failed or is missing", "is new, and gets its place back"],
  ] as const) {
    drives
      .command(name)
      .description(does)
      .argument("<drive>")
      .action(async (drive: string) => {
        const answer = await context.client().post(`/api/v1/drives/${encodeURIComponent(drive)}/${name}`);
        context.show(answer, () => `drive ${drive} ${did}\n`);
      });
  }
}

export function addFaultCommands(program: Command, context: CliContext): void {
  const faults = program.command("faults").description("faults of drives on command, to see what becomes of them");
  faults
    .command("list", { isDefault: true })
    .description("drives that have faults, and how often these have hit")
    .action(async () => {
      const answer = await context.client().get<{ drives: DriveFaults[] }>("/api/v1/faults/drives");
      context.show(answer, ({ drives }) => faultTable(drives));
    });
  faults
    .command("set")
    .description("give a drive faults, in the place of those that it has; they end with the process")
    .argument("<drive>")
    .argument("<rules...>", "each as bitFlip or delay,milliseconds=20,probability=0.1 (openapi.json has all fields)")
    .option("--seed <seed>", "what is chosen at random is chosen by it")
    .action(async (drive: string, rules: string[], { seed }: { seed?: string }) => {
      const body = { ...(seed === undefined ? {} : { seed: Number(seed) }), rules: rules.map(ruleOf) };
      const answer = await context.client().put(`/api/v1/faults/drives/${encodeURIComponent(drive)}`, body);
      context.show(answer, () => `drive ${drive} has ${rules.length} fault(s) now\n`);
    });
  faults
    .command("drive-thread")
    .description("let the thread of a pool's drives throw; main starts it again")
    .argument("<pool>")
    .action(async (pool: string) => {
      const answer = await context.client().post(`/api/v1/faults/drive-threads/${encodeURIComponent(pool)}`);
      context.show(answer, () => `the thread of pool ${pool}'s drives throws\n`);
    });
  faults
    .command("clear")
    .description("take the faults of a drive away, or of all")
    .argument("[drive]")
    .action(async (drive: string | undefined) => {
      const path = drive === undefined ? "" : `/${encodeURIComponent(drive)}`;
      const answer = await context.client().delete(`/api/v1/faults/drives${path}`);
      context.show(
        answer,
        () => `${drive === undefined ? "no drive" : `drive ${drive}`} has ${drive === undefined ? "" : "no "}faults any more\n`,
      );
    });
}

/** "delay,milliseconds=20,operations=read+write" */
function ruleOf(text: string): Record<string, unknown> {
  const [fault = "", ...fields] = text.split(",");
  const rule: Record<string, unknown> = { fault };
  for (const field of fields) {
    const at = field.indexOf("=");
    const name = field.slice(0, at);
    if (at < 1) throw new CliError(EXIT.usage, `"${field}" is no field of a fault: write it as name=value`);
    rule[name] = fieldValue(name, field.slice(at + 1));
  }
  return rule;
}

function fieldValue(name: string, text: string): unknown {
  if (name === "operations") return text.split("+");
  if (name === "keyPrefix") return text;
  if (text === "true" || text === "false") return text === "true";
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

function faultTable(drives: readonly DriveFaults[]): string {
  const rows = drives.flatMap(({ drive, pool, rules }) => rules.map((rule) => ({ drive, pool, rule })));
  return table<(typeof rows)[number]>(
    [
      { title: "DRIVE", value: ({ drive }) => drive },
      { title: "POOL", value: ({ pool }) => pool },
      { title: "FAULT", value: ({ rule }) => rule.fault },
      {
        title: "WHERE AND HOW OFTEN",
        value: ({ rule: { fault: _fault, matched: _matched, hits: _hits, ...fields } }) =>
          Object.entries(fields)
            .map(([name, value]) => `${name}=${Array.isArray(value) ? value.join("+") : value}`)
            .join(",") || "everywhere, always",
      },
      { title: "HITS", value: ({ rule }) => `${rule.hits}/${rule.matched}` },
    ],
    rows,
  );
}
