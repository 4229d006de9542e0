/**
 * The scripts that `completion SHELL` prints. They know no command: they hand the words up to the cursor to `__complete`,
 * literally and without evaluating anything of the line, and show what it answers.
 */
import { shells } from "./kinds.js";

type Shell = (typeof shells)[number];

/** For whom a script is. */
interface Program {
  /** The word that is completed, such as `litectl`. */
  readonly name: string;
  /** Words of litectl that the name stands for: `utl` for etcdutl. */
  readonly prefix: readonly string[];
}

function completionScript(shell: Shell, program: Program): string {
  switch (shell) {
    case "bash":
      return bash(program);
    case "zsh":
      return zsh(program);
    case "fish":
      return fish(program);
    case "powershell":
      return powershell(program);
  }
}

function call(helper: string, { prefix }: Program): string {
  return ["litectl", helper, ...prefix].join(" ");
}

function bash(program: Program): string {
  const { name } = program;
  return `# bash completion for ${name}. Load it with: source <(litectl ${[...program.prefix, "completion bash"].join(" ")})
${bashPlain(name)}
__${name}_complete() {
${bashWords(name)}
  current=\${words[\${#words[@]} - 1]}
  out=$(${call("__completeNoDesc", program)} "\${words[@]:1}" 2>/dev/null) || return
  directive=\${out##*:}
  # Only what follows the last = or : is replaced, unless a quote is open.
  breaks=\${COMP_WORDBREAKS//[^:=]/}
  if [[ -z $quote && -n $breaks ]]; then cut=\${current%"\${current##*[$breaks]}"}; fi
  COMPREPLY=()
  while IFS= read -r word; do
    [[ -n $word && $word == "$current"* ]] || continue
    word=\${word#"$cut"}
    if [[ -z $quote ]]; then printf -v word %q "$word"; fi
    COMPREPLY+=("$word")
  done <<<"\${out%:*}"
  if ((directive & 16)); then compopt +o default -o dirnames 2>/dev/null
  elif ((directive & 4)); then compopt +o default 2>/dev/null; fi
  if ((directive & 32)); then compopt -o nosort 2>/dev/null; fi
  return 0
}
complete -o default -F __${name}_complete ${name}
${bashAlias(program)}`;
}

/** A function that takes quotes off. */
function bashPlain(name: string): string {
  return `# A word without its quotes and backslashes, in REPLY; nothing in it is evaluated.
__${name}_plain() {
  local typed=$1 quote="" next
  REPLY=""
  while [[ -n $typed ]]; do
    next=\${typed:0:1} typed=\${typed:1}
    case $quote$next in
      \\\\ | \\"\\\\) REPLY+=\${typed:0:1} typed=\${typed:1} ;;
      \\' | \\") quote=$next ;;
      \\'\\' | \\"\\") quote="" ;;
      *) REPLY+=$next ;;
    esac
  done
}`;
}

/** The words up to the cursor, plain, and whether a quote is open in the last. */
function bashWords(name: string): string {
  return `  local REPLY line=\${COMP_LINE:0:COMP_POINT} rest word quote="" i out directive current breaks cut=""
  local -a words=()
  # Bash splits words at = and : too; what no blank stands between is one word.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    rest=\${line#"\${line%%[![:space:]]*}"}
    word=\${COMP_WORDS[i]}
    if ((i == COMP_CWORD)); then word=$rest; fi
    if ((i > 0)) && [[ $rest == "$line" && ($word == [:=]* || \${COMP_WORDS[i - 1]} == *[:=]) ]]; then
      words[\${#words[@]} - 1]+=$word
    else
      words+=("$word")
    fi
    line=\${rest#"$word"}
  done
  case \${words[\${#words[@]} - 1]} in
    \\"*) quote=double ;;
    \\'*) quote=single ;;
  esac
  for i in "\${!words[@]}"; do __${name}_plain "\${words[i]}" && words[i]=$REPLY; done`;
}

/** Bash completes an alias by its own name. */
function bashAlias({ name, prefix }: Program): string {
  if (prefix.length > 0) return "";
  return `if [[ $(alias etcdctl 2>/dev/null) == *${name}* ]]; then complete -o default -F __${name}_complete etcdctl; fi\n`;
}

function zsh(program: Program): string {
  const { name } = program;
  return `#compdef ${name}
# zsh completion for ${name}. Load it with: source <(litectl ${[...program.prefix, "completion zsh"].join(" ")})
# after compinit, or keep it as _${name} in a folder of $fpath.
_${name}() {
  local out directive line
  local -a typed candidates shown order
  typed=("\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}")
  out=$(${call("__complete", program)} "\${typed[@]}" 2>/dev/null) || return 1
  directive=\${out##*:}
  for line in "\${(@f)\${out%:*}}"; do
    [[ -n $line ]] || continue
    candidates+=("\${line%%$'\\t'*}")
    shown+=("\${line/$'\\t'/  -- }")
  done
  if ((directive & 32)); then order=(-V ${name}); fi
  if ((\${#candidates})); then
    compadd -l "\${order[@]}" -d shown -a candidates
  elif ((directive & 16)); then
    _files -/
  elif ! ((directive & 4)); then
    _files
  fi
}
if [[ \${funcstack[1]} == _${name} ]]; then
  _${name} "$@"
else
  compdef _${name} ${name}
fi
`;
}

function fish(program: Program): string {
  const { name } = program;
  return `# fish completion for ${name}. Load it with: litectl ${[...program.prefix, "completion fish"].join(" ")} | source
function __${name}_complete
    set -l typed (commandline -opc)
    set -l current (commandline -ct | string unescape)
    set -l lines (${call("__complete", program)} $typed[2..-1] "$current" 2>/dev/null)
    test (count $lines) -gt 0; or return
    set -l directive (string replace : '' -- $lines[-1])
    set -e lines[-1]
    if test (count $lines) -gt 0
        printf '%s\\n' $lines
    else if test (math "bitand($directive, 16)") -ne 0
        __fish_complete_directories "$current"
    else if test (math "bitand($directive, 4)") -eq 0
        __fish_complete_path "$current"
    end
end
complete -c ${name} -e
complete -c ${name} -f -k -a '(__${name}_complete)'
`;
}

function powershell(program: Program): string {
  const { name } = program;
  return `# PowerShell completion for ${name}. Load it with:
#   litectl ${[...program.prefix, "completion powershell"].join(" ")} | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName '${name}' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $typed = @()
    foreach ($element in ($commandAst.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.StartOffset -ge $cursorPosition) { break }
        if ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $typed += $element.Value }
        else { $typed += $element.Extent.Text }
    }
    # A word that is empty has no element. Before PowerShell 7.3 an empty argument is lost unless it is quoted twice.
    if ($wordToComplete -eq '') {
        if ($PSVersionTable.PSVersion -lt [version]'7.3') { $typed += '""' } else { $typed += '' }
    }
    $lines = @(${call("__complete", program)} @typed 2>$null)
    if ($lines.Count -lt 2) { return }
    foreach ($line in $lines[0..($lines.Count - 2)]) {
        $word, $note = $line -split "\`t", 2
        if (-not $note) { $note = $word }
        $text = $word
        if ($word -match "[\\s'\`"\`$;|&(){}<>@#,]") { $text = "'" + $word.Replace("'", "''") + "'" }
        [System.Management.Automation.CompletionResult]::new($text, $word, 'ParameterValue', $note)
    }
}
`;
}

/** What `completion ARGS` answers: a script, or what is wrong with the arguments in the parser's words. */
export type ScriptAnswer =
  | { readonly kind: "script"; readonly text: string }
  | { readonly kind: "refused"; readonly message: string };

/** `called` is etcd's own name of the program, which its messages have. */
export function scriptFor(args: readonly string[], program: Program, called: "etcdctl" | "etcdutl"): ScriptAnswer {
  if (args.length !== 1) return { kind: "refused", message: `accepts 1 arg(s), received ${args.length}` };
  const shell = shells.find((known) => known === args[0]);
  if (shell === undefined) {
    return { kind: "refused", message: `invalid argument "${args[0]}" for "${called} completion"` };
  }
  return { kind: "script", text: completionScript(shell, program) };
}
