/** A member as it opens what it has on disk, and what it tells of itself. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { ServerConfig } from "../../src/server/config/config.js";
import { renderMetrics } from "../../src/server/http/metrics-text.js";
import { type Member, openMember } from "../../src/server/member.js";
import { readMetricsFrom } from "../../src/server/member-metrics.js";
import { encodeChange } from "../../src/server/raft/change.js";
import type { Entry } from "../../src/server/raft/types.js";
import { type Logger, silentLogger } from "../../src/server/runtime/logger.js";
import { createMetrics } from "../../src/server/runtime/metrics.js";
import { openSecurity } from "../../src/server/security.js";
import { encodeCommand } from "../../src/server/state/command.js";
import { configOf } from "./config/parse.js";
import { bootstrapOfOne, openStores } from "./replica/one-member.js";

let dataDir = "";

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "litecd-member-"));
});

afterEach(() => {
  rmSync(dataDir, { recursive: true });
});

/** What a founder of two leaves on disk that has applied its own removal: a log that ends with it, and a state without it. */
function leaveRemoved(): void {
  const [self, other] = [1n, 2n];
  const founders = [self, other].map((id) => {
    return { id, name: `n${id}`, peerUrls: [`http://127.0.0.1:${id}`], clientUrls: [], learner: false };
  });
  const bootstrap = { ...bootstrapOfOne, membership: { voters: [self, other], learners: [] }, founders };
  const { log, state } = openStores(join(dataDir, "member"), bootstrap, (error) => {
    throw error;
  });
  const command = encodeCommand({ origin: self, boot: 1, sequence: 1 }, { $case: "memberRemove", value: { id: self } });
  const entries: readonly Entry[] = [
    { index: 2, term: 2, kind: "change", data: encodeChange({ op: "remove", member: self }, command) },
  ];
  const none = { truncateFrom: undefined, compact: undefined, install: undefined };
  log.append({ ...none, hardState: { term: 2, vote: self, commit: 2 }, entries });
  state.apply(entries);
  expect(state.reader.isRemoved(self)).toBe(true);
  state.close();
  log.close();
}

function config(): ServerConfig {
  return configOf(`--data-dir ${dataDir} --listen-peer-urls http://127.0.0.1:0`);
}

async function open(logger: Logger, metrics = createMetrics()): Promise<Member> {
  return openMember({
    config: config(),
    security: await openSecurity(config(), logger),
    logger,
    metrics,
    durable: "inline",
    signal: new AbortController().signal,
    onFatal: (error) => {
      throw error;
    },
  });
}

it("that knows of its removal starts all the same: the others may need its word", async () => {
  leaveRemoved();
  const warnings: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (message) => void warnings.push(message) };
  const member = await open(logger);
  try {
    member.start();
    expect(member.replica.state.isRemoved(member.replica.status().memberId)).toBe(true);
    expect(member.replica.status().term).toBe(2);
    expect(warnings).toEqual([expect.stringMatching(/removed from the cluster/)]);
  } finally {
    await member.close();
  }
});

it("shows how large the write-ahead log of its state is", async () => {
  const metrics = createMetrics();
  const member = await open(silentLogger, metrics);
  try {
    readMetricsFrom(metrics, member, config());
    const { size } = statSync(join(dataDir, "member", "state-1.db-wal"));
    expect(size).toBeGreaterThan(0);
    expect(await renderMetrics(metrics.all())).toContain(`\nlitecd_state_wal_size_in_bytes ${size}\n`);
  } finally {
    await member.close();
  }
});
