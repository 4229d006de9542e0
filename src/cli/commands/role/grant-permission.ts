/** `role grant-permission`: lets a role read or write keys (spec/cli.md 8.19). */
import type { Permission } from "../../../../proto/gen/etcd/auth.js";
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { permissionFlags, permissionRange } from "../../input/permission-range.js";
import { withoutLimit } from "../../limits.js";
import { writeLog } from "../../terminal.js";

const types: ReadonlyMap<string, Permission["permType"]> = new Map([
  ["READ", 0],
  ["WRITE", 1],
  ["READWRITE", 2],
]);

export default class RoleGrantPermission extends BaseCommand<typeof permissionFlags> {
  static override summary = "Grants a key to a role";
  static override usage = "role grant-permission [options] <role name> <permission type> <key> [endkey]";
  static override examples = ["litectl role grant-permission app readwrite /app/ --prefix"];
  static override flags = oclifFlags(permissionFlags);
  protected readonly tables = { own: permissionFlags };

  protected async execute({ args, flags }: Call<typeof permissionFlags>): Promise<void> {
    const [role, typeName, firstKey] = args;
    if (role === undefined || typeName === undefined || firstKey === undefined) {
      throw badArguments("role grant command requires role name, permission type, and key [endkey] as its argument");
    }
    const permType = types.get(typeName.toUpperCase());
    if (permType === undefined) throw badArguments(`invalid permission type: ${typeName}`);
    const range = permissionRange(args.slice(2), flags);
    await using session = await this.connect("change");
    if (firstKey === "" && range.rangeEnd.length === 0) {
      await writeLog("warn", "an empty key without --prefix or --from-key is the single key \\x00, not all keys");
    }
    const request = { name: role, perm: { permType, ...range } };
    const response = await session.raw.auth.roleGrantPermission(request, withoutLimit);
    await session.print({ kind: "change", response, message: `Role ${role} updated` });
  }
}
