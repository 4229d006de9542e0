/** The protobuf format: the bare bytes of the response message; a stream is just concatenated (spec/cli.md 7.7). */
import * as rpc from "../../../proto/gen/etcd/rpc.js";
import type { HeaderOnly, Printer } from "./results.js";

/** The printer of `-w protobuf`. */
export const protobufPrinter: Printer = {
  range: ({ response }) => rpc.RangeResponse.encode(response).finish(),
  put: ({ response }) => rpc.PutResponse.encode(response).finish(),
  deleteRange: ({ response }) => rpc.DeleteRangeResponse.encode(response).finish(),
  txn: ({ response }) => rpc.TxnResponse.encode(response).finish(),
  watch: ({ response }) => {
    const { header, events, compactRevision, canceled, created } = response;
    return rpc.WatchResponse.encode(
      rpc.WatchResponse.fromPartial({ ...(header && { header }), events, compactRevision, canceled, created }),
    ).finish();
  },
  // The real tool emits the header alone for these four: an accident of Go's embedding that golden transcripts hold.
  leaseGrant: ({ response }) => headerAlone(response),
  leaseTimeToLive: ({ response }) => headerAlone(response),
  leaseList: ({ response }) => headerAlone(response),
  leaseKeepAlive: ({ response }) => headerAlone(response),
  alarm: ({ response }) => rpc.AlarmResponse.encode(response).finish(),
  memberList: ({ response }) => rpc.MemberListResponse.encode(response).finish(),
  memberAdd: ({ response }) => rpc.MemberAddResponse.encode(response).finish(),
  memberChange: ({ response }) => rpc.MemberListResponse.encode(response).finish(),
  moveLeader: ({ response }) => rpc.MoveLeaderResponse.encode(response).finish(),
  roleGet: ({ response }) => rpc.AuthRoleGetResponse.encode(response).finish(),
  roleList: ({ response }) => rpc.AuthRoleListResponse.encode(response).finish(),
  userGet: ({ response }) => rpc.AuthUserGetResponse.encode(response).finish(),
  userList: ({ response }) => rpc.AuthUserListResponse.encode(response).finish(),
  authStatus: ({ response }) => rpc.AuthStatusResponse.encode(response).finish(),
  downgrade: ({ response }) => rpc.DowngradeResponse.encode(response).finish(),
  // All messages of one field `header = 1` have the same bytes.
  change: ({ response }) => rpc.PutResponse.encode({ header: response.header, prevKv: undefined }).finish(),
};

function headerAlone({ header }: HeaderOnly): Uint8Array {
  return header === undefined ? new Uint8Array() : rpc.ResponseHeader.encode(header).finish();
}
