/** `move-leader`: asks the leader to hand over to another member (spec/cli.md 8.11). */
import { BaseCommand, type Call, oclifFlags } from "../base-command.js";
import { badArguments } from "../exit-code.js";
import { transfereeArgument } from "../input/ids.js";
import { hexId } from "../output/human.js";
import type { Session } from "../session.js";

const flags = {} as const;

export default class MoveLeader extends BaseCommand<typeof flags> {
  static override summary = "Transfers leadership to another etcd cluster member.";
  static override usage = "move-leader <transferee-member-id>";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const [text] = args;
    if (text === undefined || args.length !== 1) throw badArguments("move-leader command needs 1 argument");
    const targetID = transfereeArgument(text);
    await using session = await this.connect("moveLeader");
    const remaining = session.remaining(); // one deadline for all the steps
    const leader = await findLeader(session, remaining);
    const options = session.at(leader.endpoint, remaining());
    const response = await session.raw.maintenance.moveLeader({ targetID }, options);
    const message = `Leadership transferred from ${hexId(leader.id)} to ${hexId(targetID)}`;
    await session.print({ kind: "moveLeader", response, message });
  }
}

/** Throws Failure (128) if none of the endpoints leads. */
async function findLeader(session: Session, remaining: ReturnType<Session["remaining"]>) {
  for (const endpoint of session.endpoints) {
    const { header, leader } = await session.raw.maintenance.status({}, session.at(endpoint, remaining()));
    if (header?.memberId === leader) return { endpoint, id: leader };
  }
  throw badArguments(`no leader endpoint given at [${session.endpoints.join(" ")}]`);
}
