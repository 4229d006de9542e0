/** `get`: a key or a range of keys (spec/cli.md 8.1). */
import type { RangeRequest, RangeResponse } from "../../../proto/gen/etcd/rpc.js";
import { BaseCommand, type Call, oclifFlags } from "../base-command.js";
import { badArguments } from "../exit-code.js";
import { getFlags, getRequest } from "../input/get-request.js";
import type { Session } from "../session.js";

export default class Get extends BaseCommand<typeof getFlags> {
  static override summary = "Gets the key or a range of keys";
  static override usage = "get [options] <key> [range_end]";
  static override examples = ["litectl get foo", "litectl get --prefix /config/ -w json", "litectl get a c --limit 10"];
  static override flags = oclifFlags(getFlags);
  protected readonly tables = { own: getFlags };

  protected async execute({ args, flags }: Call<typeof getFlags>): Promise<void> {
    const request = getRequest(args, flags);
    await using session = await this.connect();
    const { printer } = session;
    if (flags["count-only"] && printer.format !== "fields") {
      throw badArguments("--count-only is only for `--write-out=fields`");
    }
    if (flags["print-value-only"] && printer.format !== "simple") {
      throw badArguments("print-value-only is only for `--write-out=simple`");
    }
    printer.mustSupport("range");
    const response = flags.stream
      ? await gathered(session, request)
      : await session.raw.kv.range(request, session.deadline());
    await session.print({ kind: "range", response, valueOnly: flags["print-value-only"] });
  }
}

/** A streamed range as one response: the header comes first, the count and `more` come last. */
async function gathered(session: Session, request: RangeRequest): Promise<RangeResponse> {
  const whole: RangeResponse = { header: undefined, kvs: [], more: false, count: 0n };
  for await (const { rangeResponse: part } of session.raw.kv.rangeStream(request, session.deadline())) {
    if (part === undefined) continue;
    whole.header ??= part.header;
    whole.kvs.push(...part.kvs);
    whole.more = part.more;
    whole.count = part.count > whole.count ? part.count : whole.count;
  }
  return whole;
}
