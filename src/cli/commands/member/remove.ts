/** `member remove`: takes a member out of the cluster (spec/cli.md 8.12). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { singleMemberId } from "../../input/ids.js";
import { memberLine } from "../../output/human.js";

const flags = {} as const;

export default class MemberRemove extends BaseCommand<typeof flags> {
  static override summary = "Removes a member from the cluster";
  static override usage = "member remove <memberID>";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const ID = singleMemberId(args);
    await using session = await this.connect("memberChange");
    const response = await session.raw.cluster.memberRemove({ ID }, session.deadline());
    const message = memberLine(ID, "removed from", response.header?.clusterId ?? 0n);
    await session.print({ kind: "memberChange", response, message });
  }
}
