/** `lease revoke`: ends a lease and deletes its keys (spec/cli.md 8.6). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments, ExitCode } from "../../exit-code.js";
import { leaseIdArgument } from "../../input/ids.js";
import { leaseId } from "../../output/human.js";

const flags = {} as const;

export default class LeaseRevoke extends BaseCommand<typeof flags> {
  static override summary = "Revokes leases";
  static override usage = "lease revoke <leaseID>";
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const [text] = args;
    if (text === undefined || args.length !== 1) throw badArguments("lease revoke command needs 1 argument");
    const ID = leaseIdArgument(text);
    await using session = await this.connect("change");
    try {
      const response = await session.raw.lease.leaseRevoke({ ID }, session.deadline());
      await session.print({ kind: "change", response, message: `lease ${leaseId(ID)} revoked` });
    } catch (error) {
      throw session.failure(error, ExitCode.Error, (words) => `failed to revoke lease (${words})`);
    }
  }
}
