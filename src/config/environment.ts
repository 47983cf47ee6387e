/**
 * Settings from the environment.
 *
 * One rule makes every variable's name from the setting's path: `VARRAY_`, then the path in upper case, camelCase
 * split and parts joined by `_`. memory.frames → VARRAY_MEMORY_FRAMES; pools.A.dataDrives → VARRAY_POOLS_A_DATA_DRIVES.
 * A variable that is set to the empty text counts as not set: compose files pass `${X:-}`.
 */
import type { ConfigProblem } from "./config-error.ts";
import { nearestName } from "./nearest-name.ts";
import { type RawGroup, setRawLeaf } from "./raw-settings.ts";
import { type LeafAt, leavesOf, SETTINGS_NODE } from "./schema-node.ts";

/** Variables that are not settings: the file, the CLI's address and token, and what compose alone reads. */
export const OTHER_VARIABLES = ["VARRAY_CONFIG", "VARRAY_API", "VARRAY_TOKEN", "VARRAY_PUBLISH"] as const;
/** The project's own tests steer themselves by variables with this start. */
const TEST_PREFIX = "VARRAY_TEST_";

export function variableName(path: readonly string[]): string {
  const parts = path.map((part) => part.replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase());
  return `VARRAY_${parts.join("_")}`;
}

const LEAVES: readonly (LeafAt & { readonly matches: RegExp })[] = [...leavesOf(SETTINGS_NODE)].map((leaf) => ({
  ...leaf,
  matches: new RegExp(`^${variableName(leaf.path).replace("<NAME>", "([A-Z0-9]{1,8})")}$`),
}));

/** Lays the environment's settings over those in `root`; unknown variables become problems. */
export function applyEnvironment(root: RawGroup, env: NodeJS.ProcessEnv, problems: ConfigProblem[]): void {
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith("VARRAY_") || variable.startsWith(TEST_PREFIX)) continue;
    if (text === undefined || text === "" || OTHER_VARIABLES.some((name) => name === variable)) continue;
    const leaf = LEAVES.find(({ matches }) => matches.test(variable));
    if (leaf === undefined) {
      problems.push({ key: variable, found: "no setting of this name", allowed: suggestion(variable) });
      continue;
    }
    const name = leaf.matches.exec(variable)?.[1];
    const path = leaf.path.map((part) => (part === "<name>" ? name! : part));
    const value = leaf.node.type === "array" ? splitList(text) : text;
    setRawLeaf(root, path, { kind: "leaf", value, source: variable });
  }
}

function suggestion(variable: string): string {
  const nearest = nearestName(variable, [...LEAVES.map(({ path }) => variableName(path)), ...OTHER_VARIABLES]);
  return nearest === undefined ? "the variables in docs/configuration.md" : `did you mean ${nearest}?`;
}

function splitList(text: string): string[] {
  const items = text.split(",").map((item) => item.trim());
  // A comma alone: an empty list. An empty variable is none at all.
  return items.every((item) => item === "") ? [] : items;
}
