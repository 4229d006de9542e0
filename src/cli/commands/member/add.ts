/** `member add`: announces a member that is to be started (spec/cli.md 8.12). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments } from "../../exit-code.js";
import { boolean, text } from "../../flags.js";
import { peerUrls } from "../../input/peer-urls.js";

const flags = {
  learner: boolean("add the member as a learner, without a vote"),
  "peer-urls": text("comma separated peer URLs for the new member"),
} as const;

export default class MemberAdd extends BaseCommand<typeof flags> {
  static override summary = "Adds a member into the cluster";
  static override usage = "member add <memberName> [options]";
  static override examples = ["litectl member add m4 --peer-urls=http://10.0.0.4:2380 --learner"];
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args, flags: given }: Call<typeof flags>): Promise<void> {
    const [name] = args;
    if (name === undefined) throw badArguments("member name not provided");
    if (args.length > 1) throw badArguments(tooMany(args));
    const peerURLs = peerUrls(given["peer-urls"]);
    await using session = await this.connect("memberAdd");
    const request = { peerURLs, isLearner: given.learner };
    const response = await session.raw.cluster.memberAdd(request, session.deadline());
    await session.print({ kind: "memberAdd", response, name });
  }
}

function tooMany(args: readonly string[]): string {
  const urls = args.filter((arg) => arg.toLowerCase().startsWith("http"));
  return ["too many arguments", ...urls.map((url) => `did you mean --peer-urls=${url}`)].join(", ");
}
