#!/usr/bin/env node
/**
 * The demonstration of the README: one member on free ports in a temporary directory, real litectl commands shown as
 * they run, then kill -9, a restart, and a check that everything acknowledged is still there. Exits 0 by itself.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const bin = (name) => fileURLToPath(new URL(`../bin/${name}.js`, import.meta.url));
const ready = "ready to serve client requests";
const waitMsMax = 15_000;

const coloured = process.stdout.isTTY && process.env.NO_COLOR === undefined;
const paint = (code, text) => (coloured ? `\x1b[${code}m${text}\x1b[0m` : text);
const say = (text) => console.log(`\n${paint("1;36", `# ${text}`)}`);
const show = (command) => console.log(paint("1", `$ ${command}`));
const echo = (text) => text !== "" && console.log(text.replace(/\n$/, ""));

const startedMs = performance.now();
const directory = await mkdtemp(join(tmpdir(), "litecd-demo-"));
const [clientPort, peerPort] = await freePorts(2);
const endpoint = `127.0.0.1:${clientPort}`;
const children = new Set();
process.once("exit", () => children.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));

try {
  await story();
  console.log(`\n${paint("1;32", "All of it worked")} in ${((performance.now() - startedMs) / 1000).toFixed(1)} s.`);
} catch (error) {
  console.error(`\n${paint("1;31", "The demonstration failed:")} ${error.message}`);
  process.exitCode = 1;
} finally {
  for (const child of children) child.kill("SIGKILL");
  await rm(directory, { recursive: true, force: true });
}

async function story() {
  say("A member starts, on free ports, in a temporary directory");
  const member = await startMember();
  await litectl(["endpoint", "health"]);

  say("Put some keys and get them back by prefix");
  await litectl(["put", "stock/apples", "3"]);
  await litectl(["put", "stock/pears", "7"]);
  await litectl(["get", "stock/", "--prefix"]);

  say("A transaction: sell an apple, but only if there are three");
  const sale = 'value("stock/apples") = "3"\n\nput stock/apples 2\nput orders/1 "one apple"\n\nget stock/apples\n\n';
  await litectl(["txn"], { stdin: sale });

  await watching();
  await leasing();
  await compacting();

  say("A snapshot of everything, in one file");
  await litectl(["snapshot", "save", "backup.db"]);
  const { size } = await stat(join(directory, "backup.db"));
  check(size > 0, "the snapshot is empty");

  await killing(member);
}

async function watching() {
  say("A watch reports what happens, from the revision it is told, in order");
  const next = (await revision()) + 1;
  const watch = background(["watch", "orders/", "--prefix", `--rev=${next}`]);
  await litectl(["put", "orders/2", "two pears"]);
  await litectl(["del", "orders/1"]);
  await watch.until((text) => text.includes("PUT\norders/2\ntwo pears\n") && text.includes("DELETE\norders/1\n"));
  await watch.stop();
  show(`litectl watch orders/ --prefix --rev=${next}   # has seen:`);
  echo(watch.output());
}

async function leasing() {
  say("A key that lives as long as its lease: 3 seconds");
  const granted = await litectl(["lease", "grant", "3"]);
  const lease = /^lease (\w+) granted/.exec(granted)?.[1];
  check(lease !== undefined, "no lease was granted");
  const next = (await revision()) + 1;
  await litectl(["put", "session/alice", "online", `--lease=${lease}`]);
  const watch = background(["watch", "session/alice", `--rev=${next}`]);
  await litectl(["get", "session/alice"]);
  await watch.until((text) => text.includes("DELETE\nsession/alice\n"));
  await watch.stop();
  console.log(paint("2", "  … three seconds later the lease expires and takes the key along"));
  check((await litectl(["get", "session/alice"])) === "", "the key outlived its lease");
}

async function compacting() {
  say("History can be read, until it is compacted away");
  const now = await revision();
  await litectl(["get", "stock/apples", "--rev=2"]);
  await litectl(["compaction", String(now)]);
  const refused = await litectl(["get", "stock/apples", "--rev=2"], { exit: 1 });
  check(refused.includes("compacted"), "a compacted revision could still be read");
}

async function killing(member) {
  say("Write on, and pull the plug: kill -9");
  await litectl(["put", "stock/plums", "11"]);
  await litectl(["put", "orders/3", "acknowledged just before the kill"]);
  const before = await everything();
  member.kill("SIGKILL");
  await once(member, "exit");
  show(`kill -9 ${member.pid}`);

  say("Start it again on the same directory");
  const again = await startMember();
  await litectl(["get", "", "--prefix"]);
  const after = await everything();
  check(
    after.text === before.text,
    `after the restart the member holds\n${after.text}\nbut it had acknowledged\n${before.text}`,
  );
  console.log(
    paint("1;32", `✔ ${after.count} keys at revision ${after.revision}: everything acknowledged is still there`),
  );

  again.kill("SIGTERM");
  await once(again, "exit");
}

/** The store's current revision. */
async function revision() {
  return (await everything()).revision;
}

/** All keys with their revisions, as one text that two lives of the member can be compared by. */
async function everything() {
  const output = await quietly(["get", "", "--prefix", "-w", "json"]);
  const { header, kvs = [], count = 0 } = JSON.parse(output);
  return { revision: header.revision, count, text: JSON.stringify({ revision: header.revision, kvs }) };
}

async function startMember() {
  const [client, peer] = [clientPort, peerPort].map((port) => `http://127.0.0.1:${port}`);
  const flags = {
    "--name": "demo",
    "--data-dir": "demo.litecd",
    "--listen-client-urls": client,
    "--advertise-client-urls": client,
    "--listen-peer-urls": peer,
    "--initial-advertise-peer-urls": peer,
    "--initial-cluster": `demo=${peer}`,
  };
  show(`litecd --data-dir demo.litecd --listen-client-urls ${client}`);
  const began = performance.now();
  const child = spawn(process.execPath, [bin("litecd"), ...Object.entries(flags).flat()], {
    cwd: directory,
    stdio: ["ignore", "ignore", "pipe"],
  });
  children.add(child);
  let log = "";
  child.stderr.on("data", (chunk) => {
    log += chunk;
  });
  const dead = once(child, "exit").then(() => children.delete(child));
  await until(() => log.includes(ready), { gone: dead, what: "the member to be ready", context: () => log });
  console.log(paint("2", `  ready to serve client requests after ${Math.round(performance.now() - began)} ms`));
  return child;
}

/** Runs a command, shows it and its output, and returns what it printed. Fails if the exit code is another. */
async function litectl(args, { stdin = "", exit = 0 } = {}) {
  show(`litectl ${args.map(quoted).join(" ")}${stdin === "" ? "" : " <<EOF"}`);
  if (stdin !== "") console.log(`${stdin}EOF`);
  const { code, output } = await finished(args, stdin);
  echo(output);
  check(code === exit, `litectl ${args.join(" ")} ended with ${code}, expected ${exit}`);
  return output;
}

async function quietly(args) {
  const { code, output } = await finished(args, "");
  check(code === 0, `litectl ${args.join(" ")} ended with ${code}: ${output}`);
  return output;
}

async function finished(args, stdin) {
  const running = background(args);
  running.child.stdin.end(stdin);
  const [code] = await once(running.child, "close");
  return { code, output: running.output() };
}

/** A litectl that runs on while the story goes on. */
function background(args) {
  const child = spawn(process.execPath, [bin("litectl"), ...args], {
    cwd: directory,
    env: { ...process.env, ETCDCTL_ENDPOINTS: endpoint },
    stdio: "pipe",
  });
  children.add(child);
  let text = "";
  const collect = (chunk) => {
    text += chunk;
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  const gone = once(child, "close").then(() => children.delete(child));
  return {
    child,
    output: () => text,
    until: (seen) => until(() => seen(text), { gone, what: `litectl ${args.join(" ")}`, context: () => text }),
    stop: async () => {
      child.kill("SIGINT");
      await gone;
    },
  };
}

/** Waits for a condition; fails with the context when the process is gone or it takes too long. */
async function until(condition, { gone, what, context }) {
  let ended = false;
  gone.then(() => {
    ended = true;
  });
  const deadline = performance.now() + waitMsMax;
  while (!condition()) {
    if (ended || performance.now() > deadline) throw new Error(`waited in vain for ${what}:\n${context()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function check(holds, complaint) {
  if (!holds) throw new Error(complaint);
}

function quoted(word) {
  return /^[\w./:=-]+$/.test(word) ? word : `'${word}'`;
}

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
