/**
 * Settings as they were found: texts with the place they came from, before any is understood.
 *
 * Maps, not objects: keys come from outside, and `__proto__` is then a key like another.
 */
export type RawNode =
  | { readonly kind: "leaf"; readonly value: string | readonly string[]; readonly source: string }
  | RawGroup
  /** Neither text, list of texts, nor group; `found` describes it. */
  | { readonly kind: "odd"; readonly found: string; readonly source: string };

export interface RawGroup {
  readonly kind: "group";
  readonly entries: Map<string, RawNode>;
  readonly source: string;
}

export function rawGroup(source: string): RawGroup {
  return { kind: "group", entries: new Map(), source };
}

/** From the parsed YAML: `value` is made of Maps, arrays and strings, as the failsafe schema gives them. */
export function rawFromYaml(value: unknown, path: readonly string[], file: string): RawNode {
  const source = `${path.join(".")} in ${file}`;
  if (typeof value === "string") return { kind: "leaf", value, source };
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return { kind: "leaf", value, source };
  if (!(value instanceof Map))
    return { kind: "odd", found: Array.isArray(value) ? "a list of lists or groups" : "nothing", source };
  const group = rawGroup(source);
  for (const [key, child] of value) group.entries.set(String(key), rawFromYaml(child, [...path, String(key)], file));
  return group;
}

/** Puts a leaf at `path`, over what the file said there. */
export function setRawLeaf(root: RawGroup, path: readonly string[], leaf: RawNode): void {
  let group = root;
  for (const key of path.slice(0, -1)) {
    let next = group.entries.get(key);
    if (next?.kind !== "group") {
      // An empty key in YAML ("api:") is an empty text; a variable below it makes it a group. Anything else stays wrong.
      if (next !== undefined && !(next.kind === "leaf" && next.value === "")) return;
      next = rawGroup(leaf.source);
      group.entries.set(key, next);
    }
    group = next;
  }
  group.entries.set(path[path.length - 1]!, leaf);
}
