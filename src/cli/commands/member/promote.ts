/** `member promote`: gives a learner a vote (spec/cli.md 8.12). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { singleMemberId } from "../../input/ids.js";
import { memberLine } from "../../output/human.js";

const flags = {} as const;

export default class MemberPromote extends BaseCommand<typeof flags> {
  static override summary = "Promotes a non-voting member in the cluster";
  static override usage = "member promote <memberID>";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const ID = singleMemberId(args);
    await using session = await this.connect("memberChange");
    const response = await session.raw.cluster.memberPromote({ ID }, session.deadline());
    const message = memberLine(ID, "promoted in", response.header?.clusterId ?? 0n);
    await session.print({ kind: "memberChange", response, message });
  }
}
