#!/usr/bin/env node
/**
 * The demonstration of the README: three members on this machine, real litectl commands against them, then writers and a
 * watch, the leader killed with -9 in the middle, what happened in numbers, and the dead member back. Whatever does not
 * hold ends it with exit code 1; it exits by itself.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient } from "../dist/lib/index.js";

const bin = (name) => fileURLToPath(new URL(`../bin/${name}.js`, import.meta.url));
const names = ["m1", "m2", "m3"];
const waitMsMax = 15_000;

const coloured = process.stdout.isTTY && process.env.NO_COLOR === undefined;
const paint = (code, text) => (coloured ? `\x1b[${code}m${text}\x1b[0m` : text);
const say = (text) => console.log(`\n${paint("1;36", `# ${text}`)}`);
const show = (command) => console.log(paint("1", `$ ${command}`));
const note = (text) => console.log(paint("2", `  ${text}`));
const good = (text) => console.log(paint("1;32", `✔ ${text}`));
const echo = (text) => text !== "" && console.log(text.replace(/\n$/, ""));
const ms = (from) => Math.round(performance.now() - from);

const startedMs = performance.now();
const directory = await mkdtemp(join(tmpdir(), "litecd-demo-"));
const children = new Set();
process.once("exit", () => children.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));

const ports = await freePorts(2 * names.length);
const members = names.map((name, at) => ({ name, client: ports[2 * at], peer: ports[2 * at + 1], child: undefined }));
const endpoints = members.map(({ client }) => `127.0.0.1:${client}`);

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
  say("Three members start at once on this machine, in a temporary directory");
  const began = performance.now();
  const client = createClient({ endpoints });
  try {
    for (const member of members) start(member);
    await client.put("hello", "world");
    good(`the first write was acknowledged ${ms(began)} ms after the cold start of the three processes`);
    const leader = await leading();
    await litectl(["endpoint", "health"]);
    note(`${leader.name} leads in term ${leader.term}`);
    await basics();
    await losingTheLeader(client);
  } finally {
    await client.close();
  }
  await Promise.all(members.map(end));
}

async function basics() {
  say("Put, get by prefix, and a transaction: sell an apple, but only if there are three");
  const lease = await leasing();
  await litectl(["put", "stock/apples", "3"]);
  await litectl(["get", "stock/", "--prefix"]);
  const sale = 'value("stock/apples") = "3"\n\nput stock/apples 2\nput orders/1 "one apple"\n\nget stock/apples\n\n';
  await litectl(["txn"], { stdin: sale });

  say("A snapshot of everything, in one file");
  await litectl(["snapshot", "save", "backup.db"]);
  check((await stat(join(directory, "backup.db"))).size > 0, "the snapshot is empty");

  say("And the lease from before has run out, with its key");
  await lease.until((text) => text.includes("DELETE\nsession/alice\n"));
  await lease.stop();
  check((await litectl(["get", "session/alice"])) === "", "the key outlived its lease");
}

/** A key on a lease of two seconds, and a watch that waits for its end. */
async function leasing() {
  const granted = await litectl(["lease", "grant", "2"]);
  const lease = /^lease (\w+) granted/.exec(granted)?.[1];
  check(lease !== undefined, "no lease was granted");
  await litectl(["put", "session/alice", "online", `--lease=${lease}`]);
  return background(["watch", "session/alice", "--rev=1"]);
}

async function losingTheLeader(client) {
  say("Eight writers and a watch; in the middle of it the leader gets kill -9");
  const { header } = await client.put("load/", "");
  const watch = watching(client, header.revision + 1n);
  const load = writing();
  await until(() => load.acks.length >= 300, { what: "300 writes" });
  const leader = await leading();
  const acksBefore = load.acks.length;
  const killedMs = performance.now();
  leader.child.kill("SIGKILL");
  await once(leader.child, "exit");
  show(`kill -9 ${leader.child.pid}   # ${leader.name}, the leader, after ${acksBefore} acknowledged writes`);
  await until(() => load.acks.filter(({ calledMs }) => calledMs > killedMs).length >= 300, {
    what: "writes elsewhere",
  });
  await load.stop();
  const written = await client.list({ prefix: "load/w" });
  await watch.through(written.header.revision);
  judge({ load, written, watch, killedMs });
  await rejoining(client, leader);
}

/** What happened, in numbers. */
function judge({ load, written, watch, killedMs }) {
  const { acks, unsure } = load;
  const values = new Map(written.kvs.map((kv) => [kv.key, kv.value]));
  const lost = acks.filter(({ key, value }) => values.get(key) !== value);
  const times = [killedMs, ...acks.map(({ ackedMs }) => ackedMs).filter((ackedMs) => ackedMs > killedMs)];
  const gapMs = Math.max(...times.slice(1).map((ackedMs, at) => ackedMs - times[at]));
  const first = acks.find(({ calledMs }) => calledMs > killedMs);
  const happened = unsure.filter(({ key }) => values.has(key)).length;
  note(`first write that began after the kill:  acknowledged ${Math.round(first.ackedMs - killedMs)} ms after it`);
  note(`longest time without any write:         ${Math.round(gapMs)} ms`);
  note(`acknowledged writes:                    ${acks.length}, of which lost: ${lost.length}`);
  note(`writes whose outcome was not known:     ${unsure.length}, of which happened: ${happened}`);
  note(`revisions the watch was told of:        ${watch.seen.length}`);
  check(lost.length === 0, `${lost.length} acknowledged writes are gone`);
  check(watch.seen.length === written.kvs.length, `the watch saw ${watch.seen.length} of ${written.kvs.length} writes`);
  check(new Set(watch.seen.map(({ key }) => key)).size === watch.seen.length, "the watch saw a write twice");
  check(
    watch.seen.every(({ revision }, at) => at === 0 || revision > watch.seen[at - 1].revision),
    "out of order",
  );
  good("nothing acknowledged was lost; the watch saw every write once, in order");
}

async function rejoining(client, { name }) {
  say("The dead member is started again on its directory, and catches up");
  const began = performance.now();
  const { revision } = (await client.put("after", "the kill")).header;
  const member = members.find((one) => one.name === name);
  start(member);
  const own = createClient({ endpoints: [`127.0.0.1:${member.client}`] });
  try {
    const caughtUp = () =>
      own.list({ prefix: "" }, { consistency: "serializable" }).then(
        (all) => all,
        () => undefined,
      );
    let mine;
    const deadlineMs = performance.now() + waitMsMax;
    do mine = await caughtUp();
    while ((mine?.header.revision ?? 0n) < revision && performance.now() < deadlineMs);
    const all = await client.list({ prefix: "" });
    const text = ({ kvs }) =>
      JSON.stringify(kvs.map(({ key, value, modRevision }) => [key, value, String(modRevision)]));
    check(mine !== undefined && text(mine) === text(all), `${member.name} does not hold what the others hold`);
    good(`${member.name} holds the same ${all.kvs.length} keys as the others, ${ms(began)} ms after its start`);
  } finally {
    await own.close();
  }
  const leader = await leading();
  note(`${leader.name} leads in term ${leader.term}`);
}

/** Clients that write one key after the other, wherever the cluster takes it. */
function writing() {
  const acks = [];
  const unsure = [];
  let stopped = false;
  const clients = Array.from({ length: 8 }, (_, number) => createClient({ endpoints: rotated(endpoints, number) }));
  const done = clients.map(async (client, number) => {
    for (let sequence = 1; !stopped; sequence++) {
      const [key, value] = [`load/w${number}/${sequence}`, `value ${sequence}`];
      const calledMs = performance.now();
      try {
        await client.put(key, value);
        acks.push({ key, value, calledMs, ackedMs: performance.now() });
      } catch (error) {
        // An error says what it proves; only where it proves nothing may the write have happened.
        if (error.outcome !== "not-applied") unsure.push({ key });
      }
    }
    await client.close();
  });
  return {
    acks,
    unsure,
    stop: async () => {
      stopped = true;
      await Promise.all(done);
    },
  };
}

/** A watch on everything that is written, that remembers what it was told. */
function watching(client, from) {
  const seen = [];
  const watch = client.watch({ prefix: "load/w" }, { from });
  let problem;
  const listening = (async () => {
    for await (const { kv } of watch.events()) seen.push({ key: kv.key, revision: kv.modRevision });
  })().catch((error) => {
    problem = error;
  });
  return {
    seen,
    through: async (revision) => {
      await until(() => problem !== undefined || (seen.at(-1)?.revision ?? 0n) >= revision, { what: "the watch" });
      await watch.close();
      await listening;
      check(problem === undefined, `the watch broke: ${problem?.message}`);
    },
  };
}

/** The member that leads, with the term it leads in. */
async function leading() {
  const output = await quietly(["endpoint", "status", "-w", "json"]);
  const statuses = JSON.parse(output);
  const at = statuses.findIndex(({ Status }) => String(Status.leader) === String(Status.header.member_id));
  check(at >= 0, `nobody leads: ${output}`);
  return { ...members[at], term: statuses[at].Status.raftTerm ?? statuses[at].Status.header.raft_term };
}

function rotated(list, by) {
  const first = by % list.length;
  return [...list.slice(first), ...list.slice(0, first)];
}

function start(member) {
  const url = (port) => `http://127.0.0.1:${port}`;
  const flags = {
    "--name": member.name,
    "--data-dir": `${member.name}.litecd`,
    "--listen-client-urls": url(member.client),
    "--advertise-client-urls": url(member.client),
    "--listen-peer-urls": url(member.peer),
    "--initial-advertise-peer-urls": url(member.peer),
    "--initial-cluster": members.map(({ name, peer }) => `${name}=${url(peer)}`).join(","),
  };
  show(`litecd --name ${member.name} --listen-client-urls ${url(member.client)} --initial-cluster m1=…,m2=…,m3=… …`);
  const child = spawn(process.execPath, [bin("litecd"), ...Object.entries(flags).flat()], {
    cwd: directory,
    stdio: ["ignore", "ignore", "pipe"],
  });
  children.add(child);
  let log = "";
  child.stderr.on("data", (chunk) => {
    log = (log + chunk).slice(-10_000);
  });
  child.once("exit", (code, signal) => {
    children.delete(child);
    if (code !== 0 && signal === null) console.error(`${member.name} ended with ${code}; its log:\n${log}`);
  });
  member.child = child;
}

async function end({ child }) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGTERM");
  await once(child, "exit");
}

/** Runs a command, shows it and its output, and returns what it printed. Fails if the exit code is not 0. */
async function litectl(args, { stdin = "" } = {}) {
  show(`litectl ${args.map(quoted).join(" ")}${stdin === "" ? "" : " <<EOF"}`);
  if (stdin !== "") console.log(`${stdin}EOF`);
  const output = await quietly(args, stdin);
  echo(output);
  return output;
}

async function quietly(args, stdin = "") {
  const running = background(args);
  running.child.stdin.end(stdin);
  const [code] = await once(running.child, "close");
  check(code === 0, `litectl ${args.join(" ")} ended with ${code}: ${running.output()}`);
  return running.output();
}

/** A litectl that runs on while the story goes on. A snapshot is asked of one member, all else of the cluster. */
function background(args) {
  const asked = args[0] === "snapshot" ? endpoints.slice(0, 1) : endpoints;
  const child = spawn(process.execPath, [bin("litectl"), ...args], {
    cwd: directory,
    env: { ...process.env, ETCDCTL_ENDPOINTS: asked.join(",") },
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
async function until(condition, { what, gone = new Promise(() => undefined), context = () => "" }) {
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
  const found = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return found;
}
