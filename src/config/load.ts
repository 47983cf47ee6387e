/**
 * The configuration, from one YAML file and the environment; variables win over the file, the file over defaults.
 *
 * Every scalar in the file is read as text and understood by the setting's type, exactly like a variable: `00` stays a
 * drive's name, and `16GiB` means the same in both places.
 */
import { readFileSync } from "node:fs";
import { parseDocument } from "yaml";
import { assembleConfig } from "./assemble.ts";
import type { Config } from "./config.ts";
import { ConfigError, type ConfigProblem } from "./config-error.ts";
import { applyEnvironment } from "./environment.ts";
import { type RawGroup, rawFromYaml, rawGroup } from "./raw-settings.ts";
import { readSettings } from "./read-settings.ts";

const FILE_BYTES_MAX = 1024 * 1024;

/** @throws ConfigError with all problems at once */
export function loadConfig(env: NodeJS.ProcessEnv): Config {
  const problems: ConfigProblem[] = [];
  const root = env.VARRAY_CONFIG ? readFile(env.VARRAY_CONFIG, problems) : rawGroup("the configuration");
  const replaced = { pools: root.entries.has("pools"), initialVolumes: root.entries.has("initialVolumes") };
  applyEnvironment(root, env, problems);
  const settings = readSettings(root, problems);
  // Relations between settings are checked only where each one alone holds: otherwise one fault is reported twice.
  if (problems.length > 0) throw new ConfigError(problems);
  const config = assembleConfig(settings, replaced, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return deepFreeze(config);
}

function readFile(file: string, problems: ConfigProblem[]): RawGroup {
  const empty = rawGroup(file);
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    problems.push({ key: `VARRAY_CONFIG=${file}`, found: (error as Error).message, allowed: "a YAML file that can be read" });
    return empty;
  }
  if (text.length > FILE_BYTES_MAX) {
    problems.push({ key: `VARRAY_CONFIG=${file}`, found: `${text.length} bytes`, allowed: `up to ${FILE_BYTES_MAX} bytes` });
    return empty;
  }
  const document = parseDocument(text, { schema: "failsafe", prettyErrors: true });
  for (const error of document.errors) {
    problems.push({ key: file, found: error.message.split("\n")[0]!.trim(), allowed: "YAML 1.2" });
  }
  if (document.errors.length > 0 || document.contents === null) return empty;
  let contents: unknown;
  try {
    contents = document.toJS({ mapAsMap: true, maxAliasCount: 20 });
  } catch (error) {
    problems.push({ key: file, found: (error as Error).message, allowed: "YAML without such aliases" });
    return empty;
  }
  const raw = rawFromYaml(contents, [], file);
  if (raw.kind === "group") return raw;
  if (!(raw.kind === "leaf" && raw.value === "")) {
    problems.push({ key: file, found: "no settings at the top", allowed: "a group of settings, as in varray.example.yaml" });
  }
  return empty;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    Object.freeze(value);
    for (const child of Object.values(value)) deepFreeze(child);
  }
  return value;
}
