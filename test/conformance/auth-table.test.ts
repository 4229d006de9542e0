/**
 * Conformance: every call as every kind of caller. The table of outcomes stands in `auth-table.txt`, and a real etcd 3.5 must
 * give the same one, except for what is listed with its reason.
 */
import { differences35 } from "./auth-differences.js";
import { authTable, loggedIn, populate } from "./auth-world.js";

authTable({
  title: "every kind of caller",
  file: "./auth-table.txt",
  flags: { "bcrypt-cost": "4" },
  differences35,
  actors: async (client) => {
    await populate(client);
    const [root, alice, rita, wendy, bob, carol] = [
      await loggedIn(client, "root"),
      await loggedIn(client, "alice"),
      await loggedIn(client, "rita"),
      await loggedIn(client, "wendy"),
      await loggedIn(client, "bob"),
      await loggedIn(client, "carol"),
    ];
    // Ends all her tokens.
    await client.userChangePassword({ name: "carol", password: "other" }, root);
    const bad = { metadata: { token: "AbCdEfGhIjKlMnOp.1" } };
    const tokens = { "no token": {}, "bad token": bad, "void token": carol };
    return { ...tokens, "without rights": bob, reader: rita, writer: wendy, "with rights": alice, root };
  },
});
