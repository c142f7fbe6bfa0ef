// Builds the page into static/: hashed assets and an index.html that names them. The same sources give the same bytes.
// With --tests: bundles the tests of model/ into build/, for `node --test`.
import { build } from "esbuild";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const tests = join(here, "../../../tests/console/model");

const shared = { bundle: true, format: "esm", target: "es2022", absWorkingDir: here, logLevel: "warning", nodePaths: [join(here, "node_modules")] };

async function buildTests() {
  await rm(join(here, "build"), { recursive: true, force: true });
  const entryPoints = (await readdir(tests)).filter((name) => name.endsWith(".test.ts")).map((name) => join(tests, name));
  await build({ ...shared, entryPoints, outdir: "build", outExtension: { ".js": ".mjs" }, platform: "node" });
}

async function buildPage() {
  const out = join(here, "static");
  await rm(out, { recursive: true, force: true });
  await mkdir(out);
  const { metafile } = await build({
    ...shared,
    entryPoints: ["app.tsx", "app.css"],
    outdir: "static",
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    splitting: true,
    minify: true,
    metafile: true,
    legalComments: "none",
    jsx: "automatic",
    jsxImportSource: "preact",
    // The websocket is the page's only transport; what the client library keeps for Node is never reached.
    platform: "browser",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const names = new Map();
  for (const [path, { entryPoint }] of Object.entries(metafile.outputs)) if (entryPoint) names.set(entryPoint, path);
  // What the script imports is fetched beside it, not once it has been read.
  const imported = metafile.outputs[names.get("app.tsx")].imports.filter(({ kind }) => kind === "import-statement");
  const script = /.*src="app\.js".*\n/;
  const preloads = imported.map(({ path }) => `    <link rel="modulepreload" href="${basename(path)}" />\n`).join("");
  const page = (await readFile(join(here, "index.html"), "utf8"))
    .replace("app.css", basename(names.get("app.css")))
    .replace(script, (line) => preloads + line.replace("app.js", basename(names.get("app.tsx"))));
  await writeFile(join(out, "index.html"), page);
  await writeFile(join(out, "icon.svg"), await readFile(join(here, "icon.svg")));
}

await (process.argv.includes("--tests") ? buildTests() : buildPage());
