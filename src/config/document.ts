/** docs/configuration.md, written from the schema: `npm run docs` writes it, a test says when it is out of date. */
import { variableName } from "./environment.ts";
import { allowedText } from "./read-settings.ts";
import { isGroup, leavesOf, mapOf, type SchemaNode, SETTINGS_NODE } from "./schema-node.ts";
import { formatSize } from "./size.ts";

const PREFACE = `# Configuration

*Written from \`src/config/schema.ts\` by \`npm run docs\`. Change the schema, not this file.*

Settings come from three places; the later wins: the defaults, one YAML file (\`VARRAY_CONFIG\` names it;
[varray.example.yaml](../varray.example.yaml) is one with comments), and variables.

- **One rule makes every variable's name**: \`VARRAY_\`, then the setting's path in upper case, camelCase split, parts joined by \`_\`:
  \`memory.frames\` is \`VARRAY_MEMORY_FRAMES\`, \`pools.A.dataDrives\` is \`VARRAY_POOLS_A_DATA_DRIVES\`. In the tables \`<NAME>\` is a director (\`1A\`), a
  pool (\`A\`) or a LUN (\`0\`). Lists are separated by commas. A variable that is set to the empty text counts as not set.
- **Sizes** are bytes, or a number with KiB, MiB, GiB or TiB: \`512MiB\`, \`1.5GiB\`.
- **Errors** name the key, what was found and what is allowed, all of them at once. A key that is no setting is an error too. Only
  \`VARRAY_TEST_…\` is left alone, and what is for others: \`VARRAY_API\` and \`VARRAY_TOKEN\` (the CLI), \`VARRAY_PUBLISH\` (the compose file).
- Settings are read once, at start. What is stored on drives keeps its shape: capacity, strip, zone, RAID and the drives of a pool
  are fixed at the pool's first start, and a pool that finds other labels than its settings say refuses to open.
- **Portals beyond loopback** open only with the allow-list on (\`varray hosts allow-list on\`), with CHAP on every host, or with \`open\`. A portal that binds a wildcard address
  answers discovery with the connection's own local address unless \`advertise\` or \`published\` say otherwise: behind a port mapping one of them must.
`;

export function configurationDocument(): string {
  const groups = Object.entries(SETTINGS_NODE.properties!);
  const top = groups.filter(([, node]) => !isGroup(node));
  const sections = groups.filter(([, node]) => isGroup(node));
  const parts = [PREFACE, "## General\n", table(top.map(([key, node]) => ({ path: [key], node })))];
  for (const [key, node] of sections) {
    const entry = mapOf(node)?.entry;
    parts.push(`## ${key}\n`, [node.description, entry?.description].filter(Boolean).join(" "));
    if (node.defaultText !== undefined) parts.push(`Default: ${node.defaultText}.`);
    parts.push("", table([...leavesOf(node, [key])]));
  }
  return `${parts.join("\n").trimEnd()}\n`;
}

function table(leaves: readonly { readonly path: readonly string[]; readonly node: SchemaNode }[]): string {
  const rows = leaves.map(({ path, node }) =>
    [
      `\`${path.join(".")}\`<br>\`${variableName(path)}\``,
      defaultOf(node),
      node.unit === undefined || node.unit === "bytes" ? cell(allowedText(node)) : `${cell(allowedText(node))} (${node.unit})`,
      cell(node.description ?? ""),
    ].join(" | "),
  );
  return ["| setting, variable | default | allowed | why |", "|---|---|---|---|", ...rows.map((row) => `| ${row} |`), ""].join(
    "\n",
  );
}

function defaultOf(node: SchemaNode): string {
  if (node.defaultText !== undefined) return cell(node.defaultText);
  if (Array.isArray(node.default)) return node.default.length === 0 ? "none" : `\`${node.default.join(",")}\``;
  if (node.unit === "bytes" && typeof node.default === "number" && node.default % 1024 === 0)
    return `\`${formatSize(node.default)}\``;
  return `\`${String(node.default)}\``;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}
