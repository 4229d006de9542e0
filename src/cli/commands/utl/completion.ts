/** `utl completion`: the script that makes a shell complete `etcdutl` where it is an alias of `litectl utl`. */
import { type Call, oclifFlags } from "../../base-command.js";
import { scriptFor } from "../../completion/scripts.js";
import { writeOut } from "../../terminal.js";
import { UtlCommand, utlGlobalFlags } from "../../utl-command.js";

const flags = {} as const;

export default class UtlCompletion extends UtlCommand<typeof flags> {
  static override summary = "Generate completion script";
  static override usage = "utl completion <shell>";
  static override examples = ["source <(litectl utl completion bash)"];
  static override flags = oclifFlags({ ...utlGlobalFlags, ...flags });
  protected readonly tables = { own: flags };

  protected async execute({ args }: Call<typeof flags>): Promise<void> {
    const answer = scriptFor(args, { name: "etcdutl", prefix: ["utl"] }, "etcdutl");
    if (answer.kind === "refused") throw await this.refusal(answer.message);
    await writeOut(answer.text);
  }
}
