/**
 * The Auth service of a server on which authentication is off and no user or role exists. What needs one is answered
 * as etcd answers for an unknown name; what would store one is "not capable" once its input is valid (spec/server.md 8).
 */
import type { RangeRequest } from "../../../proto/gen/etcd/rpc.js";
import { status, WireError, type WireStatus } from "../../../proto/status.js";
import { intervalOf, isEmpty } from "../watch/ranges.js";
import type { ApiDependencies } from "./dependencies.js";
import { headerNow } from "./header.js";
import type { AuthHandlers } from "./types.js";

/** Auth revision before the first change. */
const authRevisionAtStart = 1n;

export function createAuth({ replica }: ApiDependencies): AuthHandlers {
  const header = () => headerNow(replica);
  return {
    authEnable: () => refuse(status.RootUserNotExist),
    authDisable: async () => ({ header: header() }),
    authStatus: async () => ({ header: header(), enabled: false, authRevision: authRevisionAtStart }),
    authenticate: async (_request, context) => {
      await replica.linearizableRead(context);
      throw new WireError(status.AuthNotEnabled);
    },
    userAdd: ({ name }) => refuse(name === "" ? status.UserEmpty : status.NotCapable),
    userGet: () => refuse(status.UserNotFound),
    userList: async () => ({ header: header(), users: [] }),
    userDelete: () => refuse(status.UserNotFound),
    userChangePassword: () => refuse(status.UserNotFound),
    userGrantRole: () => refuse(status.UserNotFound),
    userRevokeRole: () => refuse(status.UserNotFound),
    roleAdd: ({ name }) => refuse(name === "" ? status.RoleEmpty : status.NotCapable),
    roleGet: () => refuse(status.RoleNotFound),
    roleList: async () => ({ header: header(), roles: [] }),
    roleDelete: () => refuse(status.RoleNotFound),
    roleGrantPermission: ({ perm }) => {
      if (perm === undefined) return refuse(status.PermissionNotGiven);
      return refuse(isGrantable(perm) ? status.RoleNotFound : status.InvalidAuthMgmt);
    },
    roleRevokePermission: () => refuse(status.RoleNotFound),
  };
}

function isGrantable({ key, rangeEnd }: Pick<RangeRequest, "key" | "rangeEnd">): boolean {
  return key.length > 0 && !isEmpty(intervalOf(key, rangeEnd));
}

function refuse(reason: WireStatus): Promise<never> {
  return Promise.reject(new WireError(reason));
}
