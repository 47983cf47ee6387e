/** The schema as a tree to walk: groups, maps (groups whose keys are names), and leaves. */
import { SETTINGS } from "./schema.ts";

/** The parts of JSON Schema that schema.ts uses. */
export interface SchemaNode {
  readonly type?: "object" | "integer" | "boolean" | "string" | "array" | "number";
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly { readonly const: string | number }[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly multipleOf?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly default?: unknown;
  readonly description?: string;
  readonly unit?: string;
  readonly defaultText?: string;
  readonly secret?: boolean;
}

export const SETTINGS_NODE = SETTINGS as unknown as SchemaNode;

export interface MapNode {
  readonly keyPattern: RegExp;
  readonly entry: SchemaNode;
}

export function mapOf(node: SchemaNode): MapNode | undefined {
  const [first] = Object.entries(node.patternProperties ?? {});
  return first === undefined ? undefined : { keyPattern: new RegExp(first[0]), entry: first[1] };
}

export function isGroup(node: SchemaNode): boolean {
  return node.properties !== undefined || node.patternProperties !== undefined;
}

/** A leaf with the path to it; `<name>` stands for the keys of a map. */
export interface LeafAt {
  readonly path: readonly string[];
  readonly node: SchemaNode;
}

export function* leavesOf(node: SchemaNode, path: readonly string[] = []): Generator<LeafAt> {
  const map = mapOf(node);
  if (map !== undefined) yield* leavesOf(map.entry, [...path, "<name>"]);
  else if (node.properties !== undefined) {
    for (const [key, child] of Object.entries(node.properties)) yield* leavesOf(child, [...path, key]);
  } else yield { path, node };
}
