/** `npm run docs`: writes the documents that are made from the sources. Needs the build (`npm run build`). */
import { writeFileSync } from "node:fs";
import { configurationDocument } from "../dist/src/config/document.js";

writeFileSync(new URL("../docs/configuration.md", import.meta.url), configurationDocument());
console.log("wrote docs/configuration.md");
