/** `member update`: gives a member other peer URLs (spec/cli.md 8.12). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { text } from "../../flags.js";
import { singleMemberId } from "../../input/ids.js";
import { peerUrls } from "../../input/peer-urls.js";
import { memberLine } from "../../output/human.js";

const flags = { "peer-urls": text("comma separated peer URLs for the updated member") } as const;

export default class MemberUpdate extends BaseCommand<typeof flags> {
  static override summary = "Updates a member in the cluster";
  static override usage = "member update <memberID> [options]";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: given }: Call<typeof flags>): Promise<void> {
    const ID = singleMemberId(args);
    const peerURLs = peerUrls(given["peer-urls"]);
    await using session = await this.connect("memberChange");
    const response = await session.raw.cluster.memberUpdate({ ID, peerURLs }, session.deadline());
    const message = memberLine(ID, "updated in", response.header?.clusterId ?? 0n);
    await session.print({ kind: "memberChange", response, message });
  }
}
