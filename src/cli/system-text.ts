/** The system's words for its errors, as Go prints them. */

const texts: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EISDIR: "is a directory",
  ENOENT: "no such file or directory",
  ENOSPC: "no space left on device",
  ENOTDIR: "not a directory",
  EPERM: "operation not permitted",
  EROFS: "read-only file system",
};

export function systemText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text = "code" in error ? texts[String(error.code)] : undefined;
  return text ?? error.message;
}

/** Go's words for a file that cannot be opened. */
export function openFailure(file: string, error: unknown): string {
  return `open ${file}: ${systemText(error)}`;
}
