/** The package's `./proto` face: etcd's messages and services, one namespace a file, and the table of wire errors. */
export * as auth from "./gen/etcd/auth.js";
export * as election from "./gen/etcd/election.js";
export * as health from "./gen/etcd/health.js";
export * as kv from "./gen/etcd/kv.js";
export * as lock from "./gen/etcd/lock.js";
export * as rpc from "./gen/etcd/rpc.js";
export { Code, type StatusName, status, type WireStatus, watchCancelReason } from "./status.js";
