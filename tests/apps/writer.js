// Node.js: console, process.stdout and process.stderr, log files in both ways, children.
const fs = require("node:fs");
const { spawnSync } = require("node:child_process");

const log = fs.openSync("node.log", "a");
for (let line = 0; line < 200; line++) {
  console.log("console.log %d", line);
  console.error("console.error", line);
  process.stdout.write(`process.stdout ${line}\n`);
  fs.writeSync(log, `writeSync ${line}\n`);
  fs.appendFileSync("node.log", `appendFileSync ${line}\n`);
}
fs.closeSync(log);
spawnSync("echo", ["from a child"], { stdio: "inherit" });
console.log("read:", spawnSync("echo", ["read back"]).stdout.toString().trim());
const stream = fs.createWriteStream("stream.log");
for (let line = 0; line < 200; line++) stream.write(`stream ${line}\n`);
stream.end(() => {
  console.log("the end");
  process.exitCode = 3;
});
