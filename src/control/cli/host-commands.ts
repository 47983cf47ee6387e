/** hosts: the allow-list and CHAP. Secrets come from a file or standard input, never from the command line. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import type { Host, HostList } from "./answers.ts";
import { CliError, EXIT } from "./api-client.ts";
import type { CliContext } from "./run.ts";
import { table } from "./table.ts";

export function addHostCommands(program: Command, context: CliContext): void {
  const hosts = program.command("hosts").description("hosts that may log in, and their CHAP secrets");
  hosts
    .command("list", { isDefault: true })
    .description("all hosts")
    .action(async () => {
      const answer = await context.client().get<HostList>("/api/v1/hosts");
      context.show(
        answer,
        (shown) =>
          `allow-list is ${shown.allowListOnly ? "on: only these log in" : "off: any initiator logs in on loopback, beyond it only these (with VARRAY_OPEN=1 any)"}\n${hostTable(shown.hosts)}`,
      );
    });
  hosts
    .command("add")
    .description("add a host")
    .argument("<name>")
    .argument("<initiator>", "its iSCSI name, as iqn.1993-08.org.debian:01:abc")
    .option("--chap-user <user>", "the CHAP name that it proves")
    .option("--chap-secret-file <file>", "file with the secret, 12 characters or more; - is standard input")
    .action(async (name: string, initiatorName: string, options: ChapOptions) => {
      const chap = chapOf(options);
      const answer = await context
        .client()
        .post<Host>("/api/v1/hosts", { name, initiatorName, ...(chap === undefined ? {} : { chap }) });
      context.show(answer, (host) => hostTable([host]));
    });
  hosts
    .command("chap")
    .description("set a host's CHAP secret, or take it away")
    .argument("<name>")
    .option("--chap-user <user>")
    .option("--chap-secret-file <file>", "- is standard input")
    .option("--none", "no CHAP for this host")
    .action(async (name: string, options: ChapOptions & { none?: true }) => {
      const chap = options.none ? null : chapOf(options);
      if (chap === undefined) throw new CliError(EXIT.usage, "give --chap-user and --chap-secret-file, or --none");
      const answer = await context.client().patch(`/api/v1/hosts/${encodeURIComponent(name)}`, { chap });
      context.show(
        answer,
        () => `host ${name} ${chap === null ? "needs no secret" : "must prove the new secret"} from its next login\n`,
      );
    });
  hosts
    .command("remove")
    .description("remove a host")
    .argument("<name>")
    .action(async (name: string) => {
      const answer = await context.client().delete(`/api/v1/hosts/${encodeURIComponent(name)}`);
      context.show(answer, () => `host ${name} is removed\n`);
    });
  hosts
    .command("allow-list")
    .description("on: only known hosts log in, and portals beyond loopback open; off: any initiator logs in")
    .argument("<on|off>")
    .action(async (state: string) => {
      if (state !== "on" && state !== "off") throw new CliError(EXIT.usage, `say on or off, not "${state}"`);
      const answer = await context.client().put("/api/v1/host-access", { allowListOnly: state === "on" });
      context.show(answer, () => `allow-list is ${state}\n`);
    });
}

interface ChapOptions {
  readonly chapUser?: string;
  readonly chapSecretFile?: string;
}

function chapOf({ chapUser, chapSecretFile }: ChapOptions): { user: string; secret: string } | undefined {
  if (chapUser === undefined && chapSecretFile === undefined) return undefined;
  if (chapUser === undefined || chapSecretFile === undefined) {
    throw new CliError(EXIT.usage, "--chap-user and --chap-secret-file belong together");
  }
  try {
    const secret = readFileSync(chapSecretFile === "-" ? 0 : chapSecretFile, "utf8").replace(/\r?\n$/, "");
    return { user: chapUser, secret };
  } catch (error) {
    throw new CliError(EXIT.usage, `can't read the secret: ${(error as Error).message}`);
  }
}

function hostTable(hosts: readonly Host[]): string {
  return table<Host>(
    [
      { title: "HOST", value: ({ name }) => name },
      { title: "INITIATOR", value: ({ initiatorName }) => initiatorName },
      { title: "CHAP", value: ({ chapUser }) => chapUser ?? "-" },
    ],
    hosts,
  );
}
