/** `lease grant`: creates a lease (spec/cli.md 8.6). */
import { BaseCommand, type Call, oclifFlags } from "../../base-command.js";
import { badArguments, ExitCode } from "../../exit-code.js";
import { InputError, parseInteger } from "../../input/go-number.js";

const flags = {} as const;

export default class LeaseGrant extends BaseCommand<typeof flags> {
  static override summary = "Creates leases";
  static override usage = "lease grant <ttl>";
  static override examples = ["litectl lease grant 60"];
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const TTL = seconds(args);
    await using session = await this.connect("leaseGrant");
    try {
      const response = await session.raw.lease.leaseGrant({ TTL }, session.deadline());
      await session.print({ kind: "leaseGrant", response });
    } catch (error) {
      throw session.failure(error, ExitCode.Error, (text) => `failed to grant lease (${text})`);
    }
  }
}

function seconds(args: readonly string[]): bigint {
  const [text] = args;
  if (text === undefined || args.length !== 1) throw badArguments("lease grant command needs TTL argument");
  try {
    return parseInteger(text, { base: 10, sign: "signed" });
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw badArguments(`bad TTL (${error.message})`);
  }
}
