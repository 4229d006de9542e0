/** What each command needs, decided when it is applied: the same on every member (spec/server.md 8.3). */
import type { DeleteRangeRequest, PutRequest, RequestOp, TxnRequest } from "../../../../proto/gen/etcd/rpc.js";
import { AlarmRequest_AlarmAction as Action } from "../../../../proto/gen/etcd/rpc.js";
import type { StateSource } from "../../storage/state-store.js";
import type { CommandBody } from "../types.js";
import type { KeyRange } from "./intervals.js";
import type { Access, AuthView, Caller, Right } from "./types.js";

const noBytes = new Uint8Array(0);

/** The state that rights are looked up in. */
export interface AuthorizeParts {
  readonly store: StateSource;
  readonly auth: AuthView;
}

/** Throws WireError UserEmpty, AuthOldRevision, UserNotFound or PermissionDenied if the caller may not. */
export function authorize({ store, auth }: AuthorizeParts, caller: Caller, body: CommandBody): void {
  if (!auth.guards(caller)) return;
  switch (body.$case) {
    case "put":
      return new Checker(store, auth.access(caller)).put(body.value);
    case "deleteRange":
      return new Checker(store, auth.access(caller)).deleteRange(body.value);
    case "txn":
      return new Checker(store, auth.access(caller)).txn(body.value);
    case "leaseGrant":
      return auth.assertUser(caller);
    case "leaseRevoke":
      return authorizeLeases({ store, auth }, { caller, right: "write" }, [body.value]);
    case "alarm":
      return body.value.action === Action.GET ? auth.assertUser(caller) : auth.assertAdmin(caller);
    case "auth":
      // Of those who ask for a token the password was right.
      if (body.value.op?.$case !== "tokenAssign") auth.assertAdmin(caller);
      return;
    case "compact":
    case "downgrade":
      return auth.assertAdmin(caller);
    // Of members only: no call of a client comes to these.
    case "memberPublish":
    case "clusterVersionSet":
    case "leaseCheckpoint":
    // Checked by the member that was asked: a change of the membership is in force before it is applied.
    case "memberAdd":
    case "memberRemove":
    case "memberUpdate":
    case "memberPromote":
      return;
  }
}

/** A transaction that only reads, on its way past the log. */
export function authorizeReads({ store, auth }: AuthorizeParts, caller: Caller, request: TxnRequest): void {
  if (auth.guards(caller)) new Checker(store, auth.access(caller)).txn(request);
}

/** Whose rights something needs, and which. */
export interface Demand {
  readonly caller: Caller;
  readonly right: Right;
}

/**
 * Throws WireError unless the caller is a user who has the right to every key that is attached to the leases. As in etcd the
 * age of his credentials matters only where there is a key, and not to administrators.
 */
export function authorizeLeases(
  { store, auth }: AuthorizeParts,
  { caller, right }: Demand,
  leases: readonly { readonly id: bigint }[],
): void {
  if (auth.isAdmin(caller)) return;
  const attached = leases.filter(({ id }) => store.tables.keys.ofLease(id).length > 0);
  if (attached.length === 0) return auth.assertUser(caller);
  const access = auth.access(caller);
  for (const { id } of attached) assertLeaseKeys(store, access, right, id);
}

function assertLeaseKeys(store: StateSource, access: Access, right: Right, id: bigint): void {
  for (const { key } of store.tables.keys.ofLease(id)) access.assert(right, { key, rangeEnd: noBytes });
}

class Checker {
  readonly #store: StateSource;
  readonly #access: Access;

  constructor(store: StateSource, access: Access) {
    this.#store = store;
    this.#access = access;
  }

  /** Whoever attaches a key to a lease could delete the others with it: he needs to be allowed to write them. */
  put({ key, lease, prevKv }: PutRequest): void {
    const range: KeyRange = { key, rangeEnd: noBytes };
    this.#access.assert("write", range);
    if (prevKv) this.#access.assert("read", range);
    if (lease !== 0n) assertLeaseKeys(this.#store, this.#access, "write", lease);
  }

  deleteRange(request: DeleteRangeRequest): void {
    this.#access.assert("write", request);
    if (request.prevKv) this.#access.assert("read", request);
  }

  /** Both branches, at any depth, whichever is taken. */
  txn({ compare, success, failure }: TxnRequest): void {
    for (const condition of compare) this.#access.assert("read", condition);
    for (const operation of [...success, ...failure]) this.#operation(operation);
  }

  #operation({ request }: RequestOp): void {
    switch (request?.$case) {
      case "requestRange":
        return this.#access.assert("read", request.value);
      case "requestPut":
        return this.put(request.value);
      case "requestDeleteRange":
        return this.deleteRange(request.value);
      case "requestTxn":
        return this.txn(request.value);
      case undefined:
    }
  }
}
