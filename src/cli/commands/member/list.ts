/** `member list`: the members of the cluster (spec/cli.md 8.12). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { type FlagTable, text } from "../../flags.js";
import { getFlags, isSerializable } from "../../input/get-request.js";

const flags = {
  consistency: text("l for linearizable, s for serializable", { initial: "l" }),
} as const satisfies FlagTable;

export default class MemberList extends BaseCommand<typeof flags> {
  static override summary = "Lists all members in the cluster";
  static override usage = "member list [options]";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ flags: { consistency } }: Call<typeof flags>): Promise<void> {
    // The real tool blames the value of get's flag of this name, which is its default here.
    const linearizable = !isSerializable(consistency, getFlags.consistency.initial);
    await using session = await this.connect("memberList");
    const response = await session.raw.cluster.memberList({ linearizable }, session.deadline());
    await session.print({ kind: "memberList", response });
  }
}
