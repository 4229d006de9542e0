/** Alarms: who raised which, and what they forbid (spec/server.md 7.1). */

import type { RequestOp, TxnRequest } from "../../../proto/gen/etcd/rpc.js";
import { AlarmRequest_AlarmAction as Action, type AlarmRequest, AlarmType } from "../../../proto/gen/etcd/rpc.js";
import { status, WireError, type WireStatus } from "../../../proto/status.js";
import type { StateStore } from "../storage/state-store.js";
import type { StoredAlarm } from "../storage/tables.js";
import type { StateHash } from "./state-hash.js";
import type { Alarm, CommandBody } from "./types.js";

/** The alarms of all members, kept in memory because every command asks. */
export class Alarms {
  readonly #store: StateStore;
  #active: readonly StoredAlarm[] = [];

  constructor(store: StateStore) {
    this.#store = store;
  }

  /** Reads the alarms of the store's current file. */
  load(): void {
    this.#active = this.#store.tables.alarms.all();
  }

  list(): readonly Alarm[] {
    return alarmsOf(this.#active);
  }

  /** Carries out a request and returns the alarms it is about. Throws WireError for an action that does not exist. */
  handle({ action, memberID: memberId, alarm: type }: AlarmRequest, hash: StateHash): readonly Alarm[] {
    switch (action) {
      case Action.GET:
        return this.#active.filter((alarm) => type === AlarmType.NONE || alarm.type === type).flatMap(toAlarm);
      case Action.ACTIVATE:
        return this.#activate({ memberId, type }, hash);
      case Action.DEACTIVATE:
        return this.#deactivate({ memberId, type }, hash);
    }
    throw new WireError(status.UnknownMethod);
  }

  /** Why a command is refused while an alarm is active; undefined if it may run. */
  refusal(body: CommandBody): WireStatus | undefined {
    if (this.#active.length === 0) return undefined;
    if (this.#isActive(AlarmType.CORRUPT) && touchesData(body)) return status.Corrupt;
    if (this.#isActive(AlarmType.NOSPACE) && needsSpace(body)) return status.NoSpace;
    return undefined;
  }

  #isActive(type: AlarmType): boolean {
    return this.#active.some((alarm) => alarm.type === type);
  }

  #activate(alarm: StoredAlarm, hash: StateHash): readonly Alarm[] {
    if (toAlarm(alarm).length === 0) return [];
    this.#store.tables.alarms.insert(alarm);
    hash.note("alarm", alarm.memberId, alarm.type);
    this.load();
    return toAlarm(alarm);
  }

  /** Only the alarm of exactly this member and type; 0 and NONE stand for nothing else. */
  #deactivate(alarm: StoredAlarm, hash: StateHash): readonly Alarm[] {
    if (!this.#store.tables.alarms.remove(alarm)) return [];
    hash.note("disarmed", alarm.memberId, alarm.type);
    this.load();
    return toAlarm(alarm);
  }
}

/** Alarms as they are stored, in the words of the house. */
export function alarmsOf(stored: readonly StoredAlarm[]): readonly Alarm[] {
  return stored.flatMap(toAlarm);
}

function toAlarm({ memberId, type }: StoredAlarm): Alarm[] {
  if (type === AlarmType.NOSPACE) return [{ memberId, type: "NOSPACE" }];
  if (type === AlarmType.CORRUPT) return [{ memberId, type: "CORRUPT" }];
  return [];
}

/** Commands that a CORRUPT alarm stops: those that read or change keys and leases. */
function touchesData(body: CommandBody): boolean {
  switch (body.$case) {
    case "put":
    case "deleteRange":
    case "txn":
    case "compact":
    case "leaseGrant":
    case "leaseRevoke":
      return true;
    case "leaseCheckpoint":
    case "alarm":
    case "memberPublish":
    case "memberAdd":
    case "memberRemove":
    case "memberUpdate":
    case "memberPromote":
    case "clusterVersionSet":
    case "downgrade":
    case "auth":
      return false;
  }
}

/** Commands that a NOSPACE alarm stops: those that can make the file grow. */
function needsSpace(body: CommandBody): boolean {
  switch (body.$case) {
    case "put":
    case "leaseGrant":
      return true;
    case "txn":
      return holdsPut(body.value);
    case "deleteRange":
    case "compact":
    case "leaseRevoke":
    case "leaseCheckpoint":
    case "alarm":
    case "memberPublish":
    case "memberAdd":
    case "memberRemove":
    case "memberUpdate":
    case "memberPromote":
    case "clusterVersionSet":
    case "downgrade":
    case "auth":
      return false;
  }
}

/** Whether either branch puts something, inner transactions included. */
function holdsPut({ success, failure }: TxnRequest): boolean {
  const puts = ({ request }: RequestOp): boolean =>
    request?.$case === "requestPut" || (request?.$case === "requestTxn" && holdsPut(request.value));
  return success.some(puts) || failure.some(puts);
}
