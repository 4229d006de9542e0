/** Where etcd 3.5.30 answers other than etcd 3.7 and we do, by cell of the table of rights. */

export interface Difference {
  readonly theirs: string;
  readonly ours: string;
  readonly reason: string;
}

const denied = "PERMISSION_DENIED etcdserver: permission denied";
const nobody = "INVALID_ARGUMENT etcdserver: user name is empty";
const badToken = "UNAUTHENTICATED etcdserver: invalid auth token";
const unprivileged = ["without rights", "reader", "writer", "with rights"] as const;

type Cells = readonly (readonly [cell: string, difference: Difference])[];

const reversedRange: Cells = ["reader", "with rights"].map((actor) => [
  `Range reversed: ${actor}`,
  { theirs: "ok", ours: denied, reason: "a range that holds no key is covered by no grant (spec 8.3)" },
]);

const emptyTxn: Cells = [
  ["Txn of nothing: no token", { theirs: "ok", ours: nobody, reason: "a call needs an identity (spec 15.1 no. 11)" }],
];

const watchLeak: Cells = ["reader", "with rights"].map((actor) => [
  `Watch without end: ${actor}`,
  {
    theirs: "ok",
    ours: `canceled: rpc error: code = PermissionDenied desc = etcdserver: permission denied`,
    reason: "who may read one key must not watch all keys after it (spec 15.1 no. 5, fixed in 3.5.33)",
  },
]);

const openStatus: Cells = [
  ...unprivileged.map(
    (actor) =>
      [`Status: ${actor}`, { theirs: denied, ours: "ok", reason: "any user may ask since 3.5.32 (spec 8.3)" }] as const,
  ),
  ...unprivileged.map(
    (actor) =>
      [`AuthStatus: ${actor}`, { theirs: denied, ours: "ok", reason: "since 3.7 anybody may ask (spec 8.1)" }] as const,
  ),
  ["AuthStatus: no token", { theirs: nobody, ours: "ok", reason: "since 3.7 anybody may ask (spec 8.1)" }],
];

/** 3.5 lets the inner error through as it is. */
const unmapped: Cells = ["Defragment", "Hash", "HashKV", "Snapshot"].flatMap((call) => {
  const reason = "3.5 forgot to give these errors their codes and texts (spec 8.3)";
  return [
    [`${call}: no token`, { theirs: "UNKNOWN auth: user name is empty", ours: nobody, reason }],
    [`${call}: bad token`, { theirs: "UNKNOWN auth: invalid auth token", ours: badToken, reason }],
    [`${call}: void token`, { theirs: "UNKNOWN auth: invalid auth token", ours: badToken, reason }],
    ...unprivileged.map((actor) => {
      return [`${call}: ${actor}`, { theirs: "UNKNOWN auth: permission denied", ours: denied, reason }] as const;
    }),
  ] as const;
});

const silentObserve: Cells = (
  [
    ["no token", "user name is empty"],
    ["bad token", "invalid auth token"],
    ["void token", "invalid auth token"],
    ["without rights", "permission denied"],
    ["writer", "permission denied"],
  ] as const
).map(([actor, text]) => [
  `Observe: ${actor}`,
  { theirs: "OK", ours: `UNKNOWN etcdserver: ${text}`, reason: "3.5 ends the stream as if all were well; we say why" },
]);

export const differences35: ReadonlyMap<string, Difference> = new Map([
  ...reversedRange,
  ...emptyTxn,
  ...watchLeak,
  ...openStatus,
  ...unmapped,
  ...silentObserve,
]);
/** Callers by what is wrong with their web tokens; to administrators' calls the age of a token makes no difference. */
const webBad = [
  "expired",
  "other method",
  "other key",
  "no signature",
  "public key",
  "no name",
  "no revision",
] as const;
const webUsers = ["without rights", "with rights", "old user"] as const;
const noUser = ["no such user", "old, no user"] as const;
const notFound = "FAILED_PRECONDITION etcdserver: user name not found";

const webWithRights: Cells = [...reversedRange, ...watchLeak].filter(([cell]) => cell.endsWith(": with rights"));

/** What any user may do, and what etcd 3.5 answers to one that does not exist. */
const forUsers = {
  LeaseGrant: "ok",
  "LeaseRevoke of an unknown lease": "NOT_FOUND etcdserver: requested lease not found",
  "LeaseKeepAlive of an unknown lease": "ok",
  LeaseTimeToLive: "ok",
  "LeaseTimeToLive of an unknown lease": "ok",
  MemberList: "ok",
  "MemberList linearizable": "ok",
  "Alarm get": "ok",
  Status: notFound,
} as const;

const outlived = "a token can outlive its user, who then is no user any more";

const usersThatAreNone: Cells = [
  ...Object.entries(forUsers).flatMap(([call, theirs]) =>
    noUser.map((actor) => [`${call}: ${actor}`, { theirs, ours: denied, reason: outlived }] as const),
  ),
  ["Txn of nothing: no such user", { theirs: "ok", ours: denied, reason: outlived }],
];

const anybodys = "since 3.7 anybody may ask (spec 8.1)";

const webStatus: Cells = [
  ...webUsers.flatMap((actor) => [
    [`Status: ${actor}`, { theirs: denied, ours: "ok", reason: "any user may ask since 3.5.32 (spec 8.3)" }] as const,
    [`AuthStatus: ${actor}`, { theirs: denied, ours: "ok", reason: anybodys }] as const,
  ]),
  ...noUser.map((actor) => [`AuthStatus: ${actor}`, { theirs: notFound, ours: "ok", reason: anybodys }] as const),
];

const webUnmapped: Cells = ["Defragment", "Hash", "HashKV", "Snapshot"].flatMap((call) => {
  const reason = "3.5 forgot to give these errors their codes and texts (spec 8.3)";
  const cell = (actor: string, theirs: string, ours: string) =>
    [`${call}: ${actor}`, { theirs: `UNKNOWN ${theirs}`, ours, reason }] as const;
  return [
    ...webBad.map((actor) => cell(actor, "auth: invalid auth token", badToken)),
    ...webUsers.map((actor) => cell(actor, "auth: permission denied", denied)),
    ...noUser.map((actor) => cell(actor, "auth: user not found", notFound)),
  ];
});

const webObserve: Cells = [
  ...webBad.map((actor) => [actor, "invalid auth token"] as const),
  ...["without rights", "no such user"].map((actor) => [actor, "permission denied"] as const),
  ...["old user", "old root", "old, no user"].map((actor) => [actor, "revision of auth store is old"] as const),
].map(([actor, text]) => [
  `Observe: ${actor}`,
  { theirs: "OK", ours: `UNKNOWN etcdserver: ${text}`, reason: "3.5 ends the stream as if all were well; we say why" },
]);

export const jwtDifferences35: ReadonlyMap<string, Difference> = new Map([
  ...webWithRights,
  ...usersThatAreNone,
  ...webStatus,
  ...webUnmapped,
  ...webObserve,
]);
