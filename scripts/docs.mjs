/** `npm run docs`: writes the documents that are made from the sources. Needs the build (`npm run build`). */
import { readFileSync, writeFileSync } from "node:fs";
import { configurationDocument } from "../dist/src/config/document.js";
import { REASONS } from "./dependency-reasons.mjs";

const root = new URL("../", import.meta.url);
const { dependencies, devDependencies, overrides } = JSON.parse(readFileSync(new URL("package.json", root), "utf8"));

write("docs/configuration.md", configurationDocument());
write("docs/dependencies.md", dependenciesDocument());

function dependenciesDocument() {
  return [
    "# Dependencies",
    "",
    "*Written from `package.json` and `scripts/dependency-reasons.mjs` by `npm run docs`.*",
    "",
    "Few, each for something that would be worse if written here. All take Node 20; the lock file decides versions.",
    "",
    "## At run time",
    "",
    ...table(dependencies),
    "",
    "## To build and test",
    "",
    ...table(devDependencies),
    "",
    "## Overrides",
    "",
    `\`cookie\` is held at \`${overrides.cookie}\`: what Fastify's test injector (light-my-request) asks for needs Node 22.`,
    "",
  ].join("\n");
}

function table(packages) {
  const rows = Object.entries(packages).map(([name, range]) => {
    const reason = REASONS[name];
    if (reason === undefined) throw new Error(`${name} has no reason in scripts/dependency-reasons.mjs`);
    return `| \`${name}\` | ${range} | ${reason} |`;
  });
  return ["| package | version | why |", "|---|---|---|", ...rows];
}

function write(file, text) {
  writeFileSync(new URL(file, root), text);
  console.log(`wrote ${file}`);
}
