/** `completion`: the script that makes a shell complete litectl's command lines (spec/cli.md 8.22, 11.1). */
import { BaseCommand, type Call, oclifFlags } from "../base-command.js";
import { scriptFor } from "../completion/scripts.js";
import { writeOut } from "../terminal.js";

const flags = {} as const;

export default class Completion extends BaseCommand<typeof flags> {
  static override summary = "Generate completion script";
  static override description =
    "Prints the script that makes a shell complete commands, flags, their values, and what the cluster knows: keys, members,\n" +
    "leases, users and roles. The cluster is asked with the flags and ETCDCTL_* variables of the line, and has until 300 ms\n" +
    "after the start to answer; LITECTL_COMPLETION_TIMEOUT is another limit, such as 1s, and with 0 it is not asked.";
  static override usage = "completion <shell>";
  static override examples = [
    "source <(litectl completion bash)",
    "source <(litectl completion zsh)",
    "litectl completion fish | source",
    "litectl completion powershell | Out-String | Invoke-Expression",
  ];
  static override flags = oclifFlags(flags);
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const answer = scriptFor(args, { name: "litectl", prefix: [] }, "etcdctl");
    if (answer.kind === "refused") throw await this.refusal(answer.message);
    await writeOut(answer.text);
  }
}
