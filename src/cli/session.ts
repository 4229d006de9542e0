/** What a command works with once its arguments are right: a client, a printer, and the clock of its deadline. */
import {
  type CallOptions,
  createClient,
  type EtcdClient,
  type EtcdErrorCode,
  isEtcdError,
  type RawClient,
  type TlsOptions,
} from "../client/index.js";
import { type Connection, milliseconds, openConnection } from "./connection.js";
import { ExitCode, Failure } from "./exit-code.js";
import type { FlagTable, FlagValue, FlagValues, GlobalValues } from "./flags.js";
import { valuesOf } from "./input/command-line.js";
import { deadlineText, errorText } from "./output/error-text.js";
import { type ResultPrinter } from "./output/formats.js";
import type { Result } from "./output/results.js";
import { writeOut } from "./terminal.js";

/** Owns the client. Opened by a command, closed when the command ends. */
export class Session implements AsyncDisposable {
  readonly printer: ResultPrinter;
  readonly values: GlobalValues;
  private readonly connection: Connection;
  private readonly given: ReadonlyMap<string, FlagValue>;
  private opened: EtcdClient | undefined;

  private constructor(facts: SessionFacts, connection: Connection) {
    this.printer = facts.printer;
    this.values = facts.values;
    this.given = facts.given;
    this.connection = connection;
  }

  /** Throws Failure if the connection cannot even be tried. */
  static async open(facts: SessionFacts): Promise<Session> {
    return new Session(facts, await openConnection(facts.values, facts.given));
  }

  /** Throws Failure (2) if there is no endpoint to talk to. */
  get client(): EtcdClient {
    const { endpoints, options, address } = this.connection;
    if (endpoints.length === 0) throw new Failure(ExitCode.BadConnection, "etcdclient: no available endpoints");
    this.opened ??= createClient({ ...options, endpoints: endpoints.map(address) });
    return this.opened;
  }

  /** The RPCs on etcd's own messages. */
  get raw(): RawClient {
    return this.client.raw;
  }

  /** Values of the flags that a group hands down to its commands, such as `--cluster`. */
  inherited<Table extends FlagTable>(table: Table): FlagValues<Table> {
    return valuesOf(table, this.given);
  }

  /** Endpoints as they were written. */
  get endpoints(): readonly string[] {
    return this.connection.endpoints;
  }

  /** A fresh `--command-timeout`, running from now. */
  deadline(): CallOptions {
    return { timeoutMs: milliseconds(this.values["command-timeout"]) };
  }

  /** One `--command-timeout` for several calls: each call of the result gives what is left of it. */
  remaining(): () => CallOptions {
    const endMs = performance.now() + milliseconds(this.values["command-timeout"]);
    return () => ({ timeoutMs: Math.max(0, endMs - performance.now()) });
  }

  /**
   * Waits for any answer, but no longer than `--dial-timeout`: what comes after may wait for ever. Throws what the client
   * found out about endpoints that do not answer.
   */
  async reach(): Promise<void> {
    const request = { key: Uint8Array.of(0), serializable: true, countOnly: true };
    try {
      await this.raw.kv.range(request, { timeoutMs: milliseconds(this.values["dial-timeout"]) });
    } catch (error) {
      // A refusal is an answer; who may do what, the command's own requests will show.
      if (this.isDeadline(error)) throw error;
    }
  }

  /** Where the HTTP pages of an endpoint are, and with which certificates. */
  web(endpoint: string): { readonly url: string; readonly tls: TlsOptions } {
    return { url: this.connection.address(endpoint), tls: this.connection.options.tls ?? {} };
  }

  /** True if the deadline was chosen by the user and is not the default. */
  get isDeadlineGiven(): boolean {
    return this.given.has("command-timeout");
  }

  /** Aims a call at one endpoint, in the user's spelling. */
  at(endpoint: string, options: CallOptions): CallOptions {
    return { ...options, target: { endpoint: this.connection.address(endpoint) } };
  }

  /** A call's failure under another exit code or in other words. */
  failure(error: unknown, exitCode: number, words: (text: string) => string = String): Failure {
    return error instanceof Failure ? error : new Failure(exitCode, words(errorText(error)), { cause: error });
  }

  /** True for the failure of this name in the wire-error table. */
  isError(error: unknown, code: EtcdErrorCode): boolean {
    return isEtcdError(error, code);
  }

  /** True if time ran out, so that the outcome may still come. */
  isDeadline(error: unknown): boolean {
    return errorText(error) === deadlineText;
  }

  async print(result: Result): Promise<void> {
    await writeOut(this.printer.print(result));
  }

  async close(): Promise<void> {
    await this.opened?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

export interface SessionFacts {
  readonly values: GlobalValues;
  /** Flags that the command line or the environment gave. */
  readonly given: ReadonlyMap<string, FlagValue>;
  readonly printer: ResultPrinter;
}
