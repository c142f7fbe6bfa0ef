// Reads an export of the contracts as others would: ajv in its strict mode, and AsyncAPI's own parser.
import { readFileSync, readdirSync } from "node:fs";
import parser from "@asyncapi/parser";
import addFormats from "ajv-formats";
import Ajv2020 from "ajv/dist/2020.js";

const folder = process.argv[2];
const faults = [];
const ajv = new Ajv2020({ strict: true });
addFormats(ajv);
for (const file of readdirSync(folder).filter((name) => name.endsWith(".schema.json"))) {
  try {
    ajv.compile(JSON.parse(readFileSync(`${folder}/${file}`, "utf8")));
  } catch (error) {
    faults.push(`${file}: ${error.message}`);
  }
}
const { document, diagnostics } = await new parser.Parser().parse(readFileSync(`${folder}/asyncapi.yaml`, "utf8"));
if (!document) faults.push("asyncapi.yaml: no document");
for (const { severity, message, path } of diagnostics) if (severity === 0) faults.push(`${path.join(".")}: ${message}`);
console.log(faults.join("\n"));
process.exit(faults.length ? 1 : 0);
