/** The txn language: one compare or one request per line (spec/cli.md 8.4). Pure: lines in, messages out. */
import type { Compare, RequestOp } from "../../../proto/gen/etcd/rpc.js";
import { ExitCode, Failure } from "../exit-code.js";
import type { FlagTable } from "../flags.js";
import { goQuote } from "../output/go-quote.js";
import { bytesOf } from "./byte-text.js";
import { type CommandLine, parseCommandLine, valuesOf } from "./command-line.js";
import { deleteFlags, deletion } from "./delete-request.js";
import { getFlags, getRequest } from "./get-request.js";
import { InputError, parseInteger } from "./go-number.js";
import { leadingLiteral } from "./go-string.js";
import { putFlags, putRequest } from "./put-request.js";
import { type CommandNode, resolveCommand } from "./resolve-command.js";
import { splitWords } from "./words.js";

/** What a compare looks like as far as it could be read. */
interface Scanned {
  readonly key: string;
  readonly operator: string;
  readonly value: string;
  readonly isWhole: boolean;
}

const operators: ReadonlyMap<string, Compare["result"]> = new Map([
  ["=", 0],
  [">", 1],
  ["<", 2],
  ["!=", 3],
]);

/** `TARGET("KEY") OP "VALUE"`, without blanks around it. Throws the exit-3 failure that says what is wrong. */
export function parseCompare(line: string): Compare {
  const paren = line.indexOf("(");
  if (paren === -1) throw invalid(`malformed comparison: ${line}`);
  const target = line.slice(0, paren);
  const { key, operator, value, isWhole } = scan(line.slice(paren + 1));
  if (!isWhole) {
    throw invalid(`malformed comparison: ${line}; got ${target}(${goQuote(key)}) ${operator} ${goQuote(value)}`);
  }
  const what = comparison(target, value, line);
  const result = operators.get(operator);
  // The real tool crashes here; an answer in its own words is better.
  if (result === undefined) throw invalid(`malformed comparison: ${line} (unknown operator ${operator})`);
  return { result, ...what, key: bytesOf(key), rangeEnd: new Uint8Array() };
}

function scan(text: string): Scanned {
  const key = leadingLiteral(text.trimStart());
  if (key === undefined) return { key: "", operator: "", value: "", isWhole: false };
  const [, operator = "", rest = ""] = /^\)\s+(\S+)(.*)$/su.exec(key.after) ?? [];
  const value = leadingLiteral(rest.trimStart());
  const isWhole = value !== undefined && /^\s/.test(rest);
  return { key: key.value, operator, value: isWhole ? value.value : "", isWhole };
}

function comparison(target: string, value: string, line: string): Pick<Compare, "target" | "targetUnion"> {
  switch (target) {
    case "ver":
    case "version":
      return { target: 0, targetUnion: { $case: "version", value: number(value, 10, line) } };
    case "c":
    case "create":
      return { target: 1, targetUnion: { $case: "createRevision", value: number(value, 10, line) } };
    case "m":
    case "mod":
      return { target: 2, targetUnion: { $case: "modRevision", value: number(value, 10, line) } };
    case "val":
    case "value":
      return { target: 3, targetUnion: { $case: "value", value: bytesOf(value) } };
    case "lease":
      return { target: 4, targetUnion: { $case: "lease", value: number(value, 16, line) } };
    default:
      throw invalid(`malformed comparison: ${line} (unknown target ${target})`);
  }
}

function number(text: string, base: 10 | 16, line: string): bigint {
  try {
    return parseInteger(text, { base, sign: "signed" });
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw invalid(`invalid txn compare request: ${line}`);
  }
}

/** A request, and what to say before it is accepted (a range deletion without `--range`). */
export interface TxnRequestLine {
  readonly op: RequestOp;
  readonly warning: string | undefined;
}

interface RequestNode extends CommandNode {
  readonly flags: FlagTable;
  readonly parse: (words: readonly string[]) => Promise<TxnRequestLine>;
}

const requests = {
  put: {
    flags: putFlags,
    parse: async (words) => {
      const { args, given } = requestLine(words, putFlags);
      // Input that is left belongs to the transaction, so a put without a value finds none.
      const value = await putRequest(args, valuesOf(putFlags, given), () => Promise.resolve(new Uint8Array()));
      return { op: { request: { $case: "requestPut", value } }, warning: undefined };
    },
  },
  get: {
    flags: getFlags,
    parse: async (words) => {
      const { args, given } = requestLine(words, getFlags);
      const value = getRequest(args, valuesOf(getFlags, given));
      return { op: { request: { $case: "requestRange", value } }, warning: undefined };
    },
  },
  del: {
    flags: deleteFlags,
    parse: async (words) => {
      const { args, given } = requestLine(words, deleteFlags);
      const { request, warning } = deletion(args, valuesOf(deleteFlags, given));
      return { op: { request: { $case: "requestDeleteRange", value: request } }, warning };
    },
  },
} as const satisfies Record<string, RequestNode>;

/** A transaction is no place to ask for help. */
function requestLine(words: readonly string[], table: FlagTable): CommandLine {
  const line = parseCommandLine(words, table);
  if (line.wantsHelp) throw new InputError("unknown flag: --help");
  return line;
}

/**
 * `put`, `get` or `del` with the arguments and flags of these commands. Throws the exit-3 failure for a line that is no
 * request, and the command's own failure for wrong arguments.
 */
export async function parseRequest(line: string): Promise<TxnRequestLine> {
  const words = splitWords(line);
  if (words.length < 2) throw invalid(`invalid txn compare request: ${line}`);
  try {
    const { node, words: rest } = resolveCommand<RequestNode | RootNode>({ children: requests }, words);
    if ("parse" in node) return await node.parse(rest);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
  }
  throw invalid(`invalid txn request: ${line}`);
}

type RootNode = CommandNode & { readonly children: typeof requests };

function invalid(message: string): Failure {
  return new Failure(ExitCode.InvalidInput, message);
}
