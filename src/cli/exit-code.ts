/** The exit codes of etcdctl (spec/cli.md 6) and the one error class that carries them. */

export const ExitCode = {
  /** Also: nothing found, nothing deleted, help. */
  Success: 0,
  /** A server or RPC error, a deadline, or a line that the parser refuses. */
  Error: 1,
  /** The client could not be built; also the errors of the lease queries. */
  BadConnection: 2,
  /** Text on stdin that makes no sense. */
  InvalidInput: 3,
  /** A value or a format that is not supported. */
  BadFeature: 4,
  /** Ended by the server, or a snapshot that failed. */
  Interrupted: 5,
  /** Wrong number or form of arguments. */
  BadArguments: 128,
  /** What a shell says of a program that wrote into a closed pipe. */
  BrokenPipe: 141,
} as const;

/** A failure with its exit code. `message` is what follows "Error: "; undefined prints no such line. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly exitCode: number;
  /** False when everything worth saying was already said. */
  readonly isTold: boolean;

  constructor(exitCode: number, message: string, options?: { cause?: unknown; isTold?: boolean }) {
    super(message, { cause: options?.cause });
    this.exitCode = exitCode;
    this.isTold = options?.isTold ?? false;
  }
}

/** Wrong arguments (128). */
export function badArguments(message: string): Failure {
  return new Failure(ExitCode.BadArguments, message);
}

/** A value or format that is not supported (4). */
export function badFeature(message: string): Failure {
  return new Failure(ExitCode.BadFeature, message);
}

/** Ends with `exitCode` and prints nothing more: the command has said what there is to say. */
export function quietFailure(exitCode: number): Failure {
  return new Failure(exitCode, "", { isTold: true });
}
