// SPDX-License-Identifier: GPL-2.0-or-later
// node fields.cjs PACKAGE_FOLDER DISSECTORS CAPTURE CONFIGURATION
// Reads a capture with Wireshark 4.4 (compiled to WebAssembly) as its window does, in two passes, and prints JSON:
// {frames: [[[filter, label], ...], ...]}, the tree's items of each frame from top to bottom.
"use strict";
const fs = require("fs");
const path = require("path");

const [packageFolder, dissectors, capture, configuration] = process.argv.slice(2);
const dist = path.resolve(packageFolder, "dist");

// Every file below `from`, with the same names below `to` in the program's own file system.
function copy(FS, from, to) {
  FS.mkdirTree(to);
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), `${to}/${entry.name}`];
    if (entry.isDirectory()) copy(FS, source, target);
    else FS.writeFile(target, fs.readFileSync(source));
  }
}

function items(tree, found) {
  for (let i = 0; i < tree.size(); i++) {
    const item = tree.get(i);
    found.push([item.filter, item.label]);
    if (item.tree) items(item.tree, found);
  }
  return found;
}

async function main() {
  const load = require(path.join(dist, "wiregasm.js"));
  const wiregasm = await (load.default || load)({
    locateFile: (name) => path.join(dist, name),
    print: (line) => console.error(line),
    printErr: (line) => console.error(line),
    handleStatus: () => {},
  });
  copy(wiregasm.FS, path.join(dissectors, "dsmip"), "/plugins/dsmip");
  wiregasm.FS.writeFile("/plugins/dsmip.lua", fs.readFileSync(path.join(dissectors, "dsmip.lua")));
  copy(wiregasm.FS, configuration, "/home" + "/web_user/.config/wireshark");
  if (!wiregasm.init()) throw new Error("Wireshark does not start");
  const file = "/uploads/" + path.basename(capture);
  wiregasm.FS.writeFile(file, fs.readFileSync(capture));
  const session = new wiregasm.DissectSession(file);
  const loaded = session.load();
  if (loaded.code !== 0) throw new Error(`${capture}: ${loaded.error}`);
  const frames = [];
  for (let i = 1; i <= loaded.summary.packet_count; i++) frames.push(items(session.getFrame(i).tree, []));
  console.log(JSON.stringify({ frames }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
