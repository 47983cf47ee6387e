/** Raw texts → typed settings by the schema, with every problem found on the way. */
import { Value } from "typebox/value";
import type { ConfigProblem } from "./config-error.ts";
import { nearestName } from "./nearest-name.ts";
import type { RawNode } from "./raw-settings.ts";
import type { Settings } from "./schema.ts";
import { isGroup, mapOf, type SchemaNode, SETTINGS_NODE } from "./schema-node.ts";
import { formatSize, parseSize } from "./size.ts";

/** The settings; only whole if no problem was added. */
export function readSettings(root: RawNode, problems: ConfigProblem[]): Settings {
  return read(SETTINGS_NODE, root, problems) as Settings;
}

function read(node: SchemaNode, raw: RawNode | undefined, problems: ConfigProblem[]): unknown {
  return isGroup(node) ? readGroup(node, raw, problems) : readLeaf(node, raw, problems);
}

function readGroup(node: SchemaNode, raw: RawNode | undefined, problems: ConfigProblem[]): Record<string, unknown> {
  const group: Record<string, unknown> = {};
  const empty = raw === undefined || (raw.kind === "leaf" && raw.value === "");
  if (!empty && raw.kind !== "group") {
    const found = raw.kind === "odd" ? raw.found : JSON.stringify(raw.value);
    problems.push({ key: raw.source, found, allowed: `a group: ${groupKeys(node)}` });
    return group;
  }
  const entries = empty ? new Map<string, RawNode>() : (raw as Extract<RawNode, { kind: "group" }>).entries;
  const map = mapOf(node);
  for (const [key, child] of entries) {
    if (map !== undefined ? map.keyPattern.test(key) : Object.hasOwn(node.properties!, key)) continue;
    const nearest = map === undefined ? nearestName(key, Object.keys(node.properties!)) : undefined;
    const allowed = nearest === undefined ? groupKeys(node) : `did you mean "${nearest}"? (${groupKeys(node)})`;
    problems.push({ key: child.source, found: "no setting of this name", allowed });
  }
  if (map === undefined) {
    for (const [key, child] of Object.entries(node.properties!)) {
      const value = read(child, entries.get(key), problems);
      if (value !== undefined) group[key] = value;
    }
  } else {
    for (const [key, child] of entries) if (map.keyPattern.test(key)) group[key] = read(map.entry, child, problems);
  }
  return group;
}

function groupKeys(node: SchemaNode): string {
  const map = mapOf(node);
  return map === undefined ? Object.keys(node.properties!).join(", ") : `names that match ${map.keyPattern.source}`;
}

function readLeaf(node: SchemaNode, raw: RawNode | undefined, problems: ConfigProblem[]): unknown {
  if (raw === undefined) return node.default;
  const value = raw.kind === "leaf" ? understand(node, raw.value) : undefined;
  if (value !== undefined && Value.Check(node as never, value)) return value;
  const found = raw.kind === "odd" ? raw.found : raw.kind === "group" ? "a group" : JSON.stringify(raw.value);
  problems.push({
    key: raw.source,
    found: node.secret === true ? "a text that is not shown" : found,
    allowed: allowedText(node),
  });
  return node.default;
}

const FLAGS: Readonly<Record<string, boolean>> = {
  "1": true,
  true: true,
  yes: true,
  on: true,
  "0": false,
  false: false,
  no: false,
  off: false,
};

/** The value that a text means for this setting, or undefined. */
function understand(node: SchemaNode, value: string | readonly string[]): unknown {
  if (node.type === "array") return typeof value === "string" ? (value === "" ? [] : undefined) : value;
  if (typeof value !== "string") return undefined;
  if (node.anyOf !== undefined) return node.anyOf.find((choice) => String(choice.const) === value)?.const;
  if (node.type === "boolean") return Object.hasOwn(FLAGS, value.toLowerCase()) ? FLAGS[value.toLowerCase()] : undefined;
  if (node.type === "string") return value;
  if (node.unit === "bytes") return parseSize(value);
  return /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** What a setting takes, in words: for errors and for the documentation. */
export function allowedText(node: SchemaNode): string {
  if (node.anyOf !== undefined) return node.anyOf.map((choice) => String(choice.const)).join(" or ");
  if (node.type === "boolean") return "1, true, yes, on or 0, false, no, off";
  if (node.type === "array") return `a list of ${node.minItems ?? 0} to ${node.maxItems} texts that match ${node.items?.pattern}`;
  if (node.type === "string") {
    return node.pattern === undefined ? "a text that is not empty" : `a text that matches ${node.pattern}`;
  }
  if (node.unit !== "bytes") return `a whole number from ${node.minimum} to ${node.maximum}`;
  const multiple = node.multipleOf === undefined ? "" : `, a multiple of ${formatSize(node.multipleOf)}`;
  return `a size from ${formatSize(node.minimum!)} to ${formatSize(node.maximum!)}${multiple}, as 65536, 64KiB, 512MiB, 16GiB or 1TiB`;
}
