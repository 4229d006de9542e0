/** Versions: the one of etcd's API that is offered, and our own. */

/** What clients are told and parse: plain x.y.z. */
export const etcdVersion = "3.7.0";

/** Version of this package; a test holds it to package.json. */
export const litecdVersion = "0.1.0";
