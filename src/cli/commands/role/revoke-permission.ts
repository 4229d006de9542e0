/** `role revoke-permission`: takes a permission back (spec/cli.md 8.19). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { permissionFlags, permissionRange } from "../../input/permission-range.js";
import { withoutLimit } from "../../limits.js";
import { revokedText } from "../../output/permissions.js";

export default class RoleRevokePermission extends BaseCommand<typeof permissionFlags> {
  static override summary = "Revokes a key from a role";
  static override usage = "role revoke-permission [options] <role name> <key> [endkey]";
  static override flags = oclifFlags(permissionFlags);
  protected readonly tables = { own: permissionFlags };

  protected async execute({ args, flags }: Call<typeof permissionFlags>): Promise<void> {
    const [role, key] = args;
    if (role === undefined || key === undefined) {
      throw badArguments("role revoke-permission command requires role name and key [endkey] as its argument");
    }
    const range = permissionRange(args.slice(1), flags);
    await using session = await this.connect("change");
    const response = await session.raw.auth.roleRevokePermission({ role, ...range }, withoutLimit);
    await session.print({ kind: "change", response, message: revokedText(role, key, range.rangeEnd) });
  }
}
